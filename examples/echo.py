"""Serve functions by name, and call them: one at a time, without waiting, and many at once.

Prints:

    {'status': 'okay', 'text': 'hello'}
    add: 3
    ['a', 'b', 'c']
    0.5
    divide: the divisor is 0 [invalid_params]
    subtract: Unknown method: subtract [unknown_method]
"""

from __future__ import annotations

from typing import Any

import kato_transport as kt


def echo(text: str) -> dict[str, Any]:
    return {"text": text}


@kt.inline
def add(a: float, b: float) -> dict[str, Any]:
    """`kt.inline` says that it is fast, so it needs no worker thread."""
    return {"sum": a + b}


def divide(a: float, b: float) -> dict[str, Any]:
    """`ServiceError` is how a function refuses: its message and code reach the caller."""
    if not b:
        raise kt.ServiceError("the divisor is 0")
    return {"quotient": a / b}


def main() -> None:
    functions = {"echo": echo, "add": add, "divide": divide}
    with kt.serve(functions, "tcp://127.0.0.1:0") as server, kt.connect(server.endpoint) as client:
        print(client.call("echo", {"text": "hello"}))

        future = client.submit("add", {"a": 1, "b": 2})
        print(f"add: {future.result()['sum']}")

        answers = client.call_many(("echo", {"text": text}) for text in "abc")
        print([answer["text"] for answer in answers if isinstance(answer, dict)])

        for answer in client.call_many([("divide", {"a": 1, "b": 2}), ("divide", {"a": 1, "b": 0}), ("subtract", {})]):
            print(answer["quotient"] if isinstance(answer, dict) else answer)


if __name__ == "__main__":
    main()
