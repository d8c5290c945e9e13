"""Who is measured: raw pyzmq, this project's transports, and peers in environments of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from bench.peers import program, python_with


@frozen
class Peer:
    """Beside itself its environment needs msgpack, where it sends bytes and nothing else."""

    folder: str
    requirements: Sequence[str]
    imports: str
    program: tuple[str, str] | None = None
    """What has to run beside it, and of which of Debian's packages it is."""


@frozen
class Subject:
    name: str
    module: str
    variant: str = ""
    client: str = "Client"
    serves: bool = True
    """By a process of its own."""
    not_in: Sequence[str] = ()
    """Cases that say nothing about it."""
    only_in: Sequence[str] = ()
    peer: Peer | None = None
    python: Path = Path(sys.executable)

    def is_in(self, case: str) -> bool:
        return case not in self.not_in and (not self.only_in or case in self.only_in)


RAW: Final = "raw + msgspec"
INLINE, POOLED, ASYNC = "improved, inline", "improved, pooled", "improved, async client"
BASIC: Final = "basic"

_OURS: Final = "bench.rpc.subjects.ours"
OWN: Final = (
    Subject(RAW, "bench.rpc.subjects.raw", "msgspec"),
    Subject(INLINE, _OURS, "improved inline", "PipeliningClient", not_in=["sleep"]),
    Subject(POOLED, _OURS, "improved", "PipeliningClient"),
    Subject("improved, batches of 64", _OURS, "improved inline", "BatchingClient", only_in=["flight"]),
    Subject(ASYNC, _OURS, "improved inline", "AsyncClient", not_in=["sleep"]),
    Subject(BASIC, _OURS, "basic"),
    Subject("memory", _OURS, "memory", "WithServer", serves=False, not_in=["processes"]),
    Subject("rest", _OURS, "rest"),
    Subject("raw + msgpack", "bench.rpc.subjects.raw", "msgpack"),
    Subject("by hand", "bench.rpc.subjects.by_hand", not_in=["sleep", "1MB", "10MB"]),
    Subject("by hand, async client", "bench.rpc.subjects.by_hand", client="AsyncClient", only_in=["one", "flight"]),
    Subject("KATO-like REQ/REP", "bench.rpc.subjects.kato_like"),
)
_RPYC: Final = Peer("rpyc", ["rpyc==6.0.2", "msgpack"], "rpyc, msgpack")
PEERS: Final = (
    Subject("Pyro5", "bench.rpc.subjects.pyro5", peer=Peer("pyro5", ["Pyro5==5.17", "msgpack"], "Pyro5.api, msgpack")),
    Subject("rpyc", "bench.rpc.subjects.rpyc", peer=_RPYC, not_in=["sleep"]),
    Subject("rpyc, a connection for each", "bench.rpc.subjects.rpyc", client="ClientPerThread", peer=_RPYC, only_in=["sleep"]),
    Subject("zeroapi", "bench.rpc.subjects.zeroapi", peer=Peer("zeroapi", ["zeroapi==1.0.1"], "zero")),
    Subject("zerorpc", "bench.rpc.subjects.zerorpc", peer=Peer("zerorpc", ["zerorpc==0.6.3"], "zerorpc")),
    Subject("aiozmq", "bench.rpc.subjects.aiozmq", peer=Peer("aiozmq", ["aiozmq==1.0.0", "msgpack"], "aiozmq.rpc")),
    Subject("grpcio", "bench.rpc.subjects.grpcio", peer=Peer("grpcio", ["grpcio==1.85.3", "msgpack"], "grpc, msgpack")),
    Subject(
        "nats",
        "bench.rpc.subjects.nats",
        peer=Peer("nats", ["nats-py==2.16.0", "msgpack"], "nats, msgpack", ("nats-server", "nats-server")),
    ),
)


def installed(peer: Subject) -> Subject | None:
    """The same with its own Python and program; None where they cannot be had, which is said."""
    assert peer.peer is not None
    python = python_with(peer.peer.folder, peer.peer.requirements, peer.peer.imports)
    beside = program(*peer.peer.program) if peer.peer.program and python else None
    if python is None or (peer.peer.program and beside is None):
        return None
    return evolve(peer, python=python, variant=str(beside or peer.variant))
