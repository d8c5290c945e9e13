"""Servers of a scripted processor, and raw clients: what every test of the contract starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import zmq
from attrs import frozen

import kato_transport as kt

from .doubles import ScriptedProcessor, observation
from .raw import RawClient

COLUMNS = {
    "a REQ client on a basic port": ("basic", zmq.REQ, "basic"),
    "a REQ client on an improved port": ("improved", zmq.REQ, "basic"),
    "a DEALER client on an improved port": ("improved", zmq.DEALER, "improved"),
}


@frozen
class Peer:
    """A raw client of a server, and the column of the Methods table that it must be answered in."""

    column: str
    client: RawClient
    server: kt.RunningServer
    processor: ScriptedProcessor

    @property
    def improved(self) -> bool:
        return self.column == "improved"


def prime(processor: ScriptedProcessor) -> None:
    """Make it anew: it has learned a model, and holds one event."""
    processor.gate.set()
    processor.__init__()  # type: ignore[misc]
    processor.observe(observation("first", "a", "b", emotives={"joy": 0.5}))
    processor.learn()
    processor.observe(observation("second", "c"))


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, clients before servers."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def raw(closing: ExitStack) -> Callable[[int, str], RawClient]:
    """Makes raw clients: `raw(zmq.DEALER, endpoint)`."""
    return lambda kind, endpoint: closing.enter_context(RawClient(kind, endpoint))


@pytest.fixture
def processor() -> Iterator[ScriptedProcessor]:
    """A processor for servers that a test makes itself; it keeps nobody waiting once the test has ended."""
    made = ScriptedProcessor()
    prime(made)
    yield made
    made.gate.set()


@pytest.fixture
def improved(processor: ScriptedProcessor, closing: ExitStack) -> kt.RunningServer:
    """An improved server of that processor, for this test alone."""
    server = closing.enter_context(kt.serve(processor, "tcp://127.0.0.1:0", transport="improved", drain_s=1.0))
    closing.callback(processor.gate.set)
    return server


@pytest.fixture(scope="module", params=COLUMNS.values(), ids=list(COLUMNS))
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, kt.RunningServer, ScriptedProcessor]]:
    """One server for a module, since every test starts with its processor made anew: closing one takes a tenth of a second."""
    transport, kind, column = request.param
    processor = ScriptedProcessor()
    with kt.serve(processor, "tcp://127.0.0.1:0", transport=transport, drain_s=1.0) as server:
        yield column, kind, server, processor


@pytest.fixture
def peer(served: tuple[str, int, kt.RunningServer, ScriptedProcessor], raw: Callable[[int, str], RawClient]) -> Iterator[Peer]:
    """A raw client of each kind, and the processor it reaches."""
    column, kind, server, processor = served
    prime(processor)
    yield Peer(column, raw(kind, server.endpoint), server, processor)
    processor.gate.set()
