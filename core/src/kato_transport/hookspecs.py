"""The hooks a plugin may implement: all of them register, none of them works.

A hook runs at start-up and on life-cycle changes, never for a message. Implement them in the module your entry point
names, marked with `kato_transport.hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from kato_transport.contracts import Codec, DemoScene, EventHandler, EventTransport, Transport
    from kato_transport.processors import ProcessorFactory
    from kato_transport.settings import Settings

PROJECT = "kato_transport"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- selected by name: entry-point group `kato_transport`, only the selected module is imported ---------------------


@hookspec
def kato_register_transports() -> Iterable[Transport | EventTransport]:
    """Return the transports this plugin provides, one per selectable name."""
    return ()


@hookspec
def kato_register_codecs() -> Iterable[Codec]:
    """Return the codecs this plugin provides, one per name."""
    return ()


@hookspec
def kato_register_processors() -> Iterable[ProcessorFactory]:
    """Return factories of processors, one per name that `kato-transport serve --processor NAME` may give."""
    return ()


@hookspec
def kato_register_settings() -> Iterable[type]:
    """Return environ-config classes whose variables `kato-transport config` lists among its own."""
    return ()


# --- always on: entry-point group `kato_transport.extensions`, every module that is not disabled is imported --------


@hookspec
def kato_register_event_handlers(settings: Settings) -> Iterable[EventHandler]:
    """Return handlers that receive every event that this process subscribes to, by `subscribe` or by a command."""
    return ()


@hookspec
def kato_register_commands(cli: click.Group) -> None:
    """Add commands to the `kato-transport` command line."""


@hookspec
def kato_register_demo_scenes() -> Iterable[DemoScene]:
    """Return scenes that `kato-transport demo` shows beside its own."""
    return ()
