"""`kato-transport call METHOD key=value…`: the library without Python."""

from __future__ import annotations

import json
from typing import Any

import click

import kato_transport as kt
from kato_transport.cli.output import as_json
from kato_transport.endpoints import default_endpoint
from kato_transport.settings import Settings


@click.command()
@click.argument("method")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--params", help="All params as one JSON object; KEY=VALUE wins over it.")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    help="Where the server is; by default on this machine, at the transport's port. May be given several times, for servers"
    " that serve the same.",
)
@click.option("--transport", help="By default KATO_ZMQ_IMPLEMENTATION.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for the answer.")
@click.option("--processor-id", default="", help="Which of the server's processors is meant; by default its first.")
def command(
    method: str,
    pairs: tuple[str, ...],
    params: str | None,
    endpoints: tuple[str, ...],
    transport: str | None,
    timeout_s: float | None,
    processor_id: str,
) -> None:
    """Call METHOD and print the answer as JSON.

    A VALUE that is JSON is taken as such, anything else as a string: strings='["a"]' unique_id=1a.
    """
    settings = Settings.from_env()
    chosen = kt.registry().transport(transport or settings.transport)
    if not endpoints:
        endpoints = (default_endpoint(chosen, "127.0.0.1", settings.zmq_port, settings.rest_port),)
    arguments = {**_object(params), **dict(map(_pair, pairs))}
    with kt.connect(endpoints, transport=chosen.name, timeout_s=timeout_s) as client:
        click.echo(as_json(client.call(method, arguments, processor_id=processor_id)))


def _object(params: str | None) -> dict[str, Any]:
    try:
        found = json.loads(params) if params else {}
    except ValueError as exc:
        raise click.BadParameter(f"not JSON: {exc}", param_hint="--params") from exc
    if not isinstance(found, dict):
        raise click.BadParameter("expected a JSON object", param_hint="--params")
    return found


def _pair(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise click.BadParameter(f"{text!r}: expected KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
