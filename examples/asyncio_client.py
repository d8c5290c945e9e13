"""Call from asyncio: one client for all tasks, whose calls do not wait for each other.

Prints:

    the quick one came first
    the slow one came, too
    gave up: hold
    and goes on: 42
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import kato_transport as kt

go = threading.Event()


def hold() -> dict[str, Any]:
    """Answer when told so."""
    go.wait(10)
    return {}


def double(n: int) -> dict[str, Any]:
    return {"n": 2 * n}


async def talk(endpoint: str) -> None:
    async with kt.aconnect(endpoint) as client:
        slow = asyncio.create_task(client.call("hold"))
        await client.call("double", {"n": 1})
        print("the quick one came first")
        go.set()
        await slow
        print("the slow one came, too")

        go.clear()
        try:
            await client.call("hold", timeout_s=0.05)
        except kt.CallTimeout as exc:
            print("gave up:", exc.method)
        print("and goes on:", (await client.call("double", {"n": 21}))["n"])
        go.set()


def main() -> None:
    with kt.serve({"hold": hold, "double": double}, "tcp://127.0.0.1:0") as server:
        asyncio.run(talk(server.endpoint))


if __name__ == "__main__":
    main()
