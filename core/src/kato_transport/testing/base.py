"""What every section of the kit stands on: the transport under test, its claims, and the rig."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

import kato_transport as kt
from kato_transport.contracts import EventTransport, Transport
from kato_transport.endpoints import scratch_endpoint
from kato_transport.errors import PluginBroken
from kato_transport.events import KVEvent
from kato_transport.model import Capability
from kato_transport.testing.rig import Rig
from kato_transport.testing.waiting import TEST_S, at_most

F = TypeVar("F", bound=Callable[..., Any])


def requires(capability: Capability) -> Callable[[F], F]:
    """Skip the test for transports that do not claim the capability; kept on the function, so no marker to declare."""

    def mark(test: F) -> F:
        test.kato_requires = capability  # type: ignore[attr-defined]
        return test

    return mark


def load(name: str) -> Transport | EventTransport:
    """The transport of that name; a usage error that says why not, where there is none."""
    try:
        return _load(name)
    except kt.TransportError as exc:
        hints = "".join(f"\n{note}" for note in getattr(exc, "__notes__", ()))
        raise pytest.UsageError(f"the conformance kit cannot load the transport {name!r}: {exc}{hints}") from exc


class Conformance:
    """The base of the sections; `TransportConformance` is all of them together."""

    name: ClassVar[str] = ""
    """The transport's name, as it is installed or registered."""
    codec: ClassVar[str] = "msgpack"

    def endpoint(self, tmp_path: Path) -> str:
        """A fresh endpoint to serve on; by default a free port, `memory://`, or a path, as the first scheme goes."""
        return scratch_endpoint(self.transport, tmp_path)

    def publish(self, endpoint: str, event: KVEvent) -> None:
        """Send an event to whoever subscribed to the endpoint; to be given for a transport that claims SUBSCRIBE."""
        if self.transport.schemes[0] != "memory":
            pytest.fail(f"{self.name} claims SUBSCRIBE; give {type(self).__name__} a `publish(self, endpoint, event)`")
        from kato_transport import memory

        memory.publish(endpoint, event)

    @property
    def reaches_other_processes(self) -> bool:
        """Whether a client can call a server of another process."""
        return self.transport.schemes[0] != "memory"

    @property
    def transport(self) -> Transport | EventTransport:
        """The transport under test."""
        return load(self.name)

    @pytest.fixture(autouse=True)
    def _held_to_its_claims(self, request: pytest.FixtureRequest) -> None:
        """Skip what the transport does not claim."""
        needed: Capability = getattr(request.function, "kato_requires", Capability.REQUEST_REPLY)
        try:
            missing = needed & ~self.transport.capabilities
        except pytest.UsageError as exc:
            pytest.fail(str(exc), pytrace=False)
        if missing:
            pytest.skip(f"{self.name} does not claim {missing.name}")

    @pytest.fixture(autouse=True)
    def _bounded(self, _held_to_its_claims: None) -> Iterator[None]:
        """End a test that hangs, whatever in it hangs."""
        with at_most(TEST_S, "the test"):
            yield

    @pytest.fixture
    def rig(self, _bounded: None, tmp_path: Path) -> Iterator[Rig]:
        """Servers and clients of the transport under test."""
        rig = Rig(self.name, self.codec, lambda: self.endpoint(tmp_path))
        yield rig
        rig.close()


def _load(name: str) -> Transport | EventTransport:
    try:
        return kt.registry().transport(name)
    except PluginBroken:
        return kt.registry().event_transport(name)
