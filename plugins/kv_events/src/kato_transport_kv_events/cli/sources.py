"""`kato-transport kv sources`: the engines that an index service follows, and how far each can be relied upon."""

from __future__ import annotations

from typing import Any

import click

from kato_transport.cli.output import as_json, print_table
from kato_transport_kv_events.cli.asking import Service, json_option, query_options, wants_json

HEADER = ("pod", "rank", "model", "endpoint", "state", "connected", "last", "lag", "events", "gaps", "lost", "restarts")


@click.command()
@query_options
@json_option
def command(endpoint: str, transport: str | None, timeout_s: float, as_lines: bool) -> None:
    """Print the sources of an index service with their states and counts; as JSON, a line each."""
    sources = Service(endpoint, transport, timeout_s).ask("GET", "kv.sources")["sources"]
    if wants_json(as_lines):
        for source in sources:
            click.echo(as_json(source))
    else:
        print_table(HEADER, [_row(source) for source in sources])


def _row(source: dict[str, Any]) -> tuple[Any, ...]:
    return (
        source["pod"],
        source["rank"],
        source["model"],
        source["endpoint"],
        source["state"],
        "yes" if source["is_connected"] else "no",
        source["last_sequence"],
        f"{source['lag_s']:.3f} s",
        sum(source["events_processed"].values()),
        source["gaps"],
        source["missed_batches"],
        source["restarts"],
    )
