"""Which engines a command follows: sources as they are written, in a file, or found by a discovery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import frozen

from kato_transport_kv_events.subscription.source import KEYS

if TYPE_CHECKING:
    from kato_transport_kv_events.discovery import Discovery
    from kato_transport_kv_events.subscription import Source

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class Sourcing:
    """What was asked for, checked."""

    sources: tuple[Source, ...]
    discoveries: tuple[Discovery, ...]

    def follow(self, add: Callable[[Source], None], discover: Callable[[Discovery], Any]) -> None:
        """Have all of it followed."""
        for source in self.sources:
            add(source)
        for discovery in self.discoveries:
            discover(discovery)


def source_options(function: F) -> F:
    """The options of a command that follows engines."""
    options = (
        click.option(
            "--source",
            "texts",
            multiple=True,
            metavar="S",
            help=f"An engine: POD=ENDPOINT[,KEY=VALUE]…; keys: {', '.join(KEYS)}.",
        ),
        click.option(
            "--sources-file", type=click.Path(path_type=Path), help="A source on each line; read again when it changes."
        ),
        click.option("--discover", "specs", multiple=True, metavar="D", help="dns:NAME?port=N, kubernetes:?…, or a plugin's."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def sourcing(texts: tuple[str, ...], sources_file: Path | None, specs: tuple[str, ...]) -> Sourcing:
    """What the options ask for; `InvalidSetting` where one is malformed, a usage error where there is none."""
    from kato_transport_kv_events.discovery import Spec, open_discovery
    from kato_transport_kv_events.discovery.file import open_file
    from kato_transport_kv_events.subscription import Source

    if not (texts or sources_file or specs):
        raise click.UsageError("nothing to follow; give --source, --sources-file or --discover")
    discoveries: list[Discovery] = []
    if sources_file is not None:
        discoveries.append(open_file(Spec(f"file:{sources_file}", "file", str(sources_file), {})))
    discoveries += map(open_discovery, dict.fromkeys(specs))
    return Sourcing(tuple(map(Source.parse, texts)), tuple(discoveries))
