"""Pyro5 with its msgpack serializer and its threaded server; a proxy per thread, as a proxy belongs to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import Pyro5.api

from bench.rpc.driver import payload
from bench.rpc.driver.payload import Params

Pyro5.api.config.SERIALIZER = "msgpack"


@Pyro5.api.expose
class Methods:
    def echo(self, params: Params) -> Params:
        return payload.echo(params)

    def nap(self, params: Params) -> Params:
        return payload.nap(params)


def serve(variant: str, ready: Callable[[str], None]) -> None:
    daemon = Pyro5.api.Daemon(host="127.0.0.1")
    ready(str(daemon.register(Methods(), "bench")))
    daemon.requestLoop()


class Client:
    def __init__(self, endpoint: str, variant: str) -> None:
        self._endpoint = endpoint

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        with Pyro5.api.Proxy(self._endpoint) as proxy:
            methods = {"echo": proxy.echo, "nap": proxy.nap}
            yield lambda method, params: methods[method](params)
