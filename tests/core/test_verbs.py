"""The verbs of the library: what a plugin raises beyond its contract is told as the plugin's fault, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kato_transport as kt

ENDPOINT = "raising://somewhere"


class Raising:
    """A transport all of whose verbs raise what they are told to."""

    name = "raising"
    capabilities = kt.Capability.REQUEST_REPLY
    schemes = ("raising",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def fail(self, *args: Any) -> Any:
        raise self.error

    connect = serve = serve_gateway = fail

    @kt.hookimpl
    def kato_register_transports(self) -> list[Any]:
        return [self]


class AsyncRaising(Raising):
    """The same, with an asynchronous client of its own."""

    aconnect = Raising.fail


async def _aconnect() -> None:
    kt.aconnect(ENDPOINT, transport="raising")


VERBS: dict[str, Callable[[], Any]] = {
    "serve": lambda: kt.serve({}, ENDPOINT, transport="raising"),
    "gateway": lambda: kt.gateway(ENDPOINT, "memory://", transport="raising", upstream_transport="memory"),
    "connect": lambda: kt.connect(ENDPOINT, transport="raising"),
    "aconnect": lambda: asyncio.run(_aconnect()),
}

Registered = Callable[[BaseException], None]


@pytest.fixture(params=[Raising, AsyncRaising], ids=["by threads", "of its own for asyncio"])
def registered(request: pytest.FixtureRequest) -> Iterator[Registered]:
    """Has the transport raise something, for one test."""
    names: list[str] = []

    def register(error: BaseException) -> None:
        kt.registry().register(request.param(error), "raising")
        names.append("raising")

    yield register
    for name in names:
        kt.registry().unregister(name)


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), KeyError("port"), AssertionError()], ids=repr)
def test_a_foreign_exception_of_a_plugin_is_told_as_the_plugins_fault(
    registered: Registered, verb: Callable[[], Any], error: Exception
) -> None:
    """By the plugin's name and in its words, with the exception itself as the cause."""
    registered(error)
    with pytest.raises(kt.PluginBroken) as raised:
        verb()
    assert raised.value.name == "raising"
    assert raised.value.reason == f"{type(error).__name__}: {error}"
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
@pytest.mark.parametrize(
    "error", [kt.BindFailed("taken"), kt.InvalidSetting("no port"), MemoryError(), KeyboardInterrupt()], ids=repr
)
def test_what_a_plugin_may_raise_reaches_the_caller_as_it_is(
    registered: Registered, verb: Callable[[], Any], error: BaseException
) -> None:
    """The errors of its contract, and what is nobody's fault."""
    registered(error)
    with pytest.raises(type(error)) as raised:
        verb()
    assert raised.value is error
