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
from kato_transport.cli.daemon import log_to_stderr, say_ready, stop_on_signals, stop_with_parent
from kato_transport.endpoints import default_endpoint
from kato_transport.processes.sharing import leave, shared
from kato_transport.processes.worker import GRACE_S
from kato_transport.processor_specs import make_processor, own_file
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
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Where the processors keep what they learn: a file; with --workers, a folder.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes that share the processors, at most one for each; 1: this one has them all. By default "
    "KATO_TRANSPORT_PROCESSES. The threads of each are something else: KATO_TRANSPORT_WORKERS.",
)
@click.option("--as-worker", is_flag=True, hidden=True, help="As one of the processes that --workers starts.")
def command(
    transport: str | None,
    host: str,
    zmq_port: int | None,
    endpoint: str | None,
    rest_port: int | None,
    no_rest: bool,
    processors: tuple[str, ...],
    data: Path | None,
    workers: int | None,
    as_worker: bool,
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
    orphaned = stop_with_parent(stop, settings.drain_s + GRACE_S) if as_worker else None
    sys.path.insert(0, os.getcwd())  # module:factory may lie where the command is given
    chosen = kt.registry().transport(transport or settings.transport)
    rest_port_or_default = settings.rest_port if rest_port is None else rest_port
    if endpoint is None:
        endpoint = default_endpoint(chosen, host, settings.zmq_port if zmq_port is None else zmq_port, rest_port_or_default)
    is_gateway_itself = chosen.schemes[0] == "http"
    specs = processors or (DEFAULT_PROCESSOR,)
    processes = min(workers or settings.processes, len(specs))
    threads = settings.workers + (len(specs) if processes > 1 else 0)  # a call that is passed on holds one meanwhile
    with ExitStack() as running:
        served: Any
        if processes > 1:
            served = running.enter_context(shared(specs, processes, data, settings, threads))
        else:
            served = [_processor(running, spec, settings, data, as_worker) for spec in specs]
        server = running.enter_context(kt.serve(served, endpoint, transport=chosen.name, workers=threads))
        rest = server.endpoint if is_gateway_itself else None
        if not no_rest and not is_gateway_itself and _has_gateway(asked_for=rest_port is not None):
            rest_endpoint = f"http://{f'[{host}]' if ':' in host else host}:{rest_port_or_default}"
            gateway = kt.gateway(rest_endpoint, server.endpoint, upstream_transport=chosen.name)
            rest = running.enter_context(gateway).endpoint
        if not as_worker:
            say_ready(transport=chosen.name, zmq=None if is_gateway_itself else server.endpoint, rest=rest)
        stop.wait()
        log.info("draining")
    if orphaned is not None and orphaned.is_set():
        leave(server.endpoint)


def _processor(running: ExitStack, spec: str, settings: Settings, data: Path | None, apart: bool) -> Any:
    processor = make_processor(spec, ProcessorSettings(genome=settings.manifest, data=_data(spec, data, apart)))
    close = getattr(processor, "close", None)
    if close is not None:
        running.callback(close)
    return processor


def _data(spec: str, data: Path | None, apart: bool) -> Path | None:
    """The one file of all processors; in worker processes, or where these have been before, each has a file in a folder."""
    if data is None:
        return None
    own = own_file(data, spec)
    return own if apart or own.exists() else data


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
