"""NATS: requests through a real nats-server to one that answers them, with nats-py at both ends and maps as MessagePack."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import nats

from bench.rpc.driver import payload
from bench.rpc.driver.payload import NAP_S, Params

CONFIG = "host: 127.0.0.1\nport: -1\nmax_payload: 64MB\nmax_pending: 256MB\n"
TIMEOUT_S = 20.0


def serve(variant: str, ready: Callable[[str], None]) -> None:
    """`variant` is where the program is."""
    folder = Path.cwd()
    (folder / "nats.conf").write_text(CONFIG)
    broker = subprocess.Popen([variant, "-c", "nats.conf", "--ports_file_dir", str(folder)], stdout=subprocess.DEVNULL)
    asyncio.run(_serve(_url(folder / f"nats-server_{broker.pid}.ports", broker), ready))


def _url(ports: Path, broker: subprocess.Popen[bytes]) -> str:
    while not ports.exists() or not ports.read_text():
        if broker.poll() is not None:
            raise RuntimeError(f"nats-server ended with {broker.returncode}")
        time.sleep(0.01)
    found: str = json.loads(ports.read_text())["nats"][0]
    return found


async def _serve(url: str, ready: Callable[[str], None]) -> None:
    client = await nats.connect(url)
    napping = set[asyncio.Task[None]]()

    async def echo(message: Any) -> None:
        await message.respond(msgpack.packb(payload.echo(msgpack.unpackb(message.data))))

    async def rest(message: Any) -> None:
        await asyncio.sleep(NAP_S)
        await echo(message)

    async def nap(message: Any) -> None:
        """Beside others, as messages of a subscription come one after the other."""
        task = asyncio.create_task(rest(message))
        napping.add(task)
        task.add_done_callback(napping.discard)

    await client.subscribe("echo", cb=echo)
    await client.subscribe("nap", cb=nap)
    await client.flush()
    ready(url)
    await asyncio.Event().wait()


class Client:
    """A connection per loop."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._url = endpoint

    @asynccontextmanager
    async def acalling(self) -> AsyncIterator[Callable[[str, Params], Awaitable[Any]]]:
        client = await nats.connect(self._url)

        async def call(method: str, params: Params) -> Any:
            answered = await client.request(method, msgpack.packb(params), timeout=TIMEOUT_S)
            return msgpack.unpackb(answered.data)

        try:
            yield call
        finally:
            await client.close()
