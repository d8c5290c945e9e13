"""`kato-transport serve`: processors behind a transport, and the REST gateway in front of it."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

import kato_transport as kt
from kato_transport.cli.daemon import log_to_stderr, say_ready, stop_on_signals
from kato_transport.endpoints import default_endpoint
from kato_transport.processor_specs import make_processor
from kato_transport.processors import ProcessorSettings
from kato_transport.settings import Settings

DEFAULT_PROCESSOR = "processor_memory"

log = logging.getLogger("kato_transport.serve")


@click.command()
@click.option("--transport", help="By default KATO_ZMQ_IMPLEMENTATION.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--zmq-port", type=click.IntRange(0, 65535), help="By default ZMQ_PORT; 0: any free one.")
@click.option("--endpoint", help="In place of host and port, for transports that have none.")
@click.option("--rest-port", type=click.IntRange(0, 65535), help="By default REST_PORT; 0: any free one.")
@click.option("--no-rest", is_flag=True, help="Serve without the REST gateway.")
@click.option(
    "--processor",
    "processors",
    multiple=True,
    metavar="[ID=]NAME | [ID=]MODULE:FACTORY",
    help=f"What answers; may be given several times. By default {DEFAULT_PROCESSOR}.",
)
@click.option("--data", type=click.Path(path_type=Path), help="File in which the processors keep what they learn.")
def command(
    transport: str | None,
    host: str,
    zmq_port: int | None,
    endpoint: str | None,
    rest_port: int | None,
    no_rest: bool,
    processors: tuple[str, ...],
    data: Path | None,
) -> None:
    """Run processors behind a transport and the REST gateway until SIGINT or SIGTERM, then drain and exit.

    When it can serve, it prints one line of JSON: ready, transport, zmq, rest (the endpoints as bound) and pid. Logs go
    to stderr. A second signal ends it at once.
    """
    if no_rest and rest_port is not None:
        raise click.UsageError("--rest-port and --no-rest exclude each other")
    settings = Settings.from_env()
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    sys.path.insert(0, os.getcwd())  # module:factory may lie where the command is given
    chosen = kt.registry().transport(transport or settings.transport)
    rest_port_or_default = settings.rest_port if rest_port is None else rest_port
    if endpoint is None:
        endpoint = default_endpoint(chosen, host, settings.zmq_port if zmq_port is None else zmq_port, rest_port_or_default)
    is_gateway_itself = chosen.schemes[0] == "http"
    with ExitStack() as running:
        served = [_processor(running, spec, settings, data) for spec in processors or (DEFAULT_PROCESSOR,)]
        server = running.enter_context(kt.serve(served, endpoint, transport=chosen.name))
        rest = server.endpoint if is_gateway_itself else None
        if not no_rest and not is_gateway_itself and _has_gateway(asked_for=rest_port is not None):
            rest_endpoint = f"http://{f'[{host}]' if ':' in host else host}:{rest_port_or_default}"
            gateway = kt.gateway(rest_endpoint, server.endpoint, upstream_transport=chosen.name)
            rest = running.enter_context(gateway).endpoint
        zmq = None if is_gateway_itself else server.endpoint
        say_ready(transport=chosen.name, zmq=zmq, rest=rest)
        stop.wait()
        log.info("draining")


def _processor(running: ExitStack, spec: str, settings: Settings, data: Path | None) -> Any:
    processor = make_processor(spec, ProcessorSettings(genome=settings.manifest, data=data))
    close = getattr(processor, "close", None)
    if close is not None:
        running.callback(close)
    return processor


def _has_gateway(asked_for: bool) -> bool:
    """Whether the REST plugin is there; serving goes on without it, unless its port was asked for."""
    try:
        kt.registry().transport("rest")
    except (kt.UnknownTransport, kt.PluginDisabled) as exc:
        if asked_for:
            raise
        log.warning("no REST gateway: %s %s", exc, "; ".join(getattr(exc, "__notes__", [])))
        return False
    return True
