"""What is sent, and what servers do with it: the same for every subject.

Only the standard library here and in all of this folder, as peers' environments have nothing else.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

SMALL: Final = 200
NAP_S: Final = 0.002

Params = dict[str, Any]


def params(size: int) -> Params:
    """A map of some 200 bytes, or one that holds so many random bytes."""
    if size == SMALL:
        return {"text": "x" * 150, "number": 12345, "list": [1, 2, 3]}
    return {"data": Random(size).randbytes(size)}


def echo(params: Params) -> Params:
    return params


def nap(params: Params) -> Params:
    """What waits for something else, as a database."""
    time.sleep(NAP_S)
    return params


METHODS: Final[Mapping[str, Callable[[Params], Params]]] = {"echo": echo, "nap": nap}


def free_port() -> int:
    """For servers that cannot be told to take any."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
