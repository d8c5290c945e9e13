"""`kato-transport kv snapshot`: the whole index of a service, in a file here or in the service's own."""

from __future__ import annotations

from pathlib import Path

import click

from kato_transport.cli.output import as_json
from kato_transport_kv_events.cli.asking import Service, query_options


@click.command()
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write, whole or not at all.")
@query_options
def command(output: Path | None, endpoint: str, transport: str | None, timeout_s: float) -> None:
    """Fetch a snapshot of an index service, for another one to begin with; without --output the service saves its own file.

    Prints a line of JSON: path, bytes, and taken_at_s where the service says it. `kv serve --snapshot FILE` begins with it.
    """
    service = Service(endpoint, transport, timeout_s)
    if output is None:
        click.echo(as_json(service.ask("POST", "kv.snapshot", {"save": True})))
        return
    data = _fetched(service)
    _write(output, data)
    click.echo(as_json({"path": str(output), "bytes": len(data)}))


def _fetched(service: Service) -> bytes:
    from kato_transport_kv_events.index.snapshot import MAGIC

    data = service.fetch("GET", "kv.snapshot") if service.is_http else service.call("kv.snapshot").get("snapshot")
    if not isinstance(data, bytes) or not data.startswith(MAGIC):
        raise service.stranger()
    return data


def _write(path: Path, data: bytes) -> None:
    from kato_transport_kv_events.index.snapshot import write_whole

    try:
        write_whole(path, data)
    except OSError as exc:
        raise click.FileError(str(path), exc.strerror or str(exc)) from exc
