"""`kato-transport kv …`: the commands of this plugin, each imported when it is run; and its scene of the demonstration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from kato_transport import hookimpl
from kato_transport.cli.lazy import LazyGroup

if TYPE_CHECKING:
    from kato_transport.contracts import DemoScene

COMMANDS: Final = {
    "decode": "Print the events in capture files or payloads, one line of JSON each.",
    "match": "Print which pods hold the leading blocks of a prompt.",
    "serve": "Keep an index of which engine holds which blocks, and answer queries about it.",
    "snapshot": "Fetch the whole index of a service, for another one to begin with.",
    "sources": "Print the engines that an index service follows, with their states and counts.",
    "watch": "Show what engines tell, as it happens.",
}
"""Name to one line of help, so that `--help` imports no command."""


@click.group(
    cls=LazyGroup,
    package=__name__,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Follow the KV-cache events of engines, and ask who holds a prompt's prefix.",
)
def kv() -> None:
    """KV-cache events of vLLM and SGLang engines: look at them, follow them, ask who holds a prompt's prefix."""


@hookimpl
def kato_register_commands(cli: click.Group) -> None:
    cli.add_command(kv)


@hookimpl
def kato_register_demo_scenes() -> Iterable[DemoScene]:
    from kato_transport_kv_events.demo.scene import EventStream

    return [EventStream()]
