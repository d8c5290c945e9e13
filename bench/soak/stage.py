"""What a soak is played on: three servers, and what stands between them and their clients.

`alpha` (improved, with its gateway) and `gamma` (basic) are killed and restarted; `beta` (improved) lives throughout, so that
its memory's trend can be told, behind a `kato-transport proxy` that does not. Every way to a server can be cut, stalled and
slowed; the one to alpha that goes by messages loses and repeats them as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

from bench.message_proxy import MessageProxy
from bench.soak.callers import Group
from bench.soak.calls import MODELS, sequence
from bench.soak.commands import Command, Proxy, Serve
from kato_transport.testing import FaultProxy

C = TypeVar("C", bound=Command)

ODDS: Final = {"lost": 0.01, "repeated": 0.05, "delayed": 0.03, "cut": 0.002}
PATIENT: Final = {"timeout_s": 8.0, "copies": 16, "heartbeat_interval_s": 1.0}
"""Options of clients whose messages get lost."""


class Stage:
    """Everything but the clients; all of it ends with the `with` block."""

    def __init__(self, folder: Path, seed: int) -> None:
        with ExitStack() as starting:
            self.alpha = _kept(starting, Serve("alpha", folder, rest=True))
            self.beta = _kept(starting, Serve("beta", folder))
            self.gamma = _kept(starting, Serve("gamma", folder, "basic"))
            self.servers: Mapping[str, Serve] = {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}
            self.models = self._taught()
            self.proxy = _kept(starting, Proxy("proxy", folder, self.beta.endpoint))
            self.commands: Mapping[str, Command] = {**self.servers, "proxy": self.proxy}
            endpoints = {"gateway": self.alpha.gateway} | {name: server.endpoint for name, server in self.servers.items()}
            self.links = {name: starting.enter_context(_link_to(endpoint)) for name, endpoint in endpoints.items()}
            self.messages = starting.enter_context(MessageProxy(self.alpha.endpoint, seed, **ODDS))
            self._started = starting.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._started.close()

    @property
    def mortal(self) -> list[Command]:
        return [self.alpha, self.gamma, self.proxy]

    def groups_of_threads(self, crew: str) -> list[Group]:
        """Of one process; `crew` makes their names its own."""
        alpha, beta, gamma, gateway = (self._way(name) for name in ("alpha", "beta", "gamma", "gateway"))
        return [
            Group(f"{crew}-improved", "alpha", "call", (alpha,), 2),
            Group(f"{crew}-lossy", "alpha", "call", (self.messages.endpoint,), 2, options=PATIENT),
            Group(f"{crew}-compat", "alpha", "compat", (alpha,), 1),
            Group(f"{crew}-rest", "alpha", "call", (gateway,), 1, "rest"),
            Group(f"{crew}-basic", "gamma", "call", (gamma,), 1, "basic"),
            Group(f"{crew}-proxied", "beta", "call", (self.proxy.endpoint,), 1),
            Group(f"{crew}-many", "beta", "call_many", (beta,), 1),
            Group(f"{crew}-anywhere", "", "call", (alpha, beta, self.proxy.endpoint), 2),
        ]

    def groups_of_tasks(self, crew: str) -> list[Group]:
        """The same for an event loop."""
        alpha, beta, gamma = (self._way(name) for name in ("alpha", "beta", "gamma"))
        return [
            Group(f"{crew}-improved", "alpha", "acall", (alpha,), 4),
            Group(f"{crew}-lossy", "alpha", "acall", (self.messages.endpoint,), 2, options=PATIENT),
            Group(f"{crew}-basic", "gamma", "acall", (gamma,), 1, "basic"),
            Group(f"{crew}-proxied", "beta", "acall", (self.proxy.endpoint,), 2),
            Group(f"{crew}-anywhere", "", "acall", (alpha, beta, self.proxy.endpoint), 2),
        ]

    def _way(self, name: str) -> str:
        """To a server, through the link before it."""
        scheme = "http" if name == "gateway" else "tcp"
        return f"{scheme}://127.0.0.1:{self.links[name].port}"

    def _taught(self) -> dict[str, int]:
        """Every server learns the same models; their names, with their numbers."""
        sequences = [sequence(number) for number in range(MODELS)]
        return {name: number for server in self.servers.values() for number, name in enumerate(server.taught(sequences))}


def _kept(starting: ExitStack, command: C) -> C:
    starting.callback(command.close)
    return command


@contextmanager
def _link_to(endpoint: str) -> Iterator[FaultProxy]:
    address = urlsplit(endpoint)
    with FaultProxy(address.hostname or "", address.port or 0) as link:
        yield link
