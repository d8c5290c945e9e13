"""Stand between two transports: a client's `request` has the shape of a service, so it can be served.

The service is reachable within this process only; the bridge makes it reachable over TCP. A gateway, a proxy and a fault
injector are made the same way. Here, the bridge also counts what passes.

Prints:

    {'status': 'okay', 'greeting': 'Hello, Ada!'}
    errors pass as they are: greet: nobody to greet [not_found]
    passed: greet 2
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import kato_transport as kt


def greet(name: str) -> dict[str, Any]:
    if not name:
        raise kt.ServiceError("nobody to greet", kt.ErrorCode.NOT_FOUND)
    return {"greeting": f"Hello, {name}!"}


def main() -> None:
    passed: Counter[str] = Counter()

    with (
        kt.serve({"greet": greet}, "memory://greeter", transport="memory"),
        kt.connect("memory://greeter", transport="memory") as inside,
    ):

        def forward(request: kt.Request) -> kt.Response:
            passed[request.method] += 1
            return inside.request(request)

        with (
            kt.serve(forward, "tcp://127.0.0.1:0", transport="improved") as bridge,
            kt.connect(bridge.endpoint, transport="improved") as outside,
        ):
            print(outside.call("greet", {"name": "Ada"}))
            try:
                outside.call("greet", {"name": ""})
            except kt.RemoteError as exc:
                print("errors pass as they are:", exc)
    print("passed:", *(f"{method} {count}" for method, count in passed.items()))


if __name__ == "__main__":
    main()
