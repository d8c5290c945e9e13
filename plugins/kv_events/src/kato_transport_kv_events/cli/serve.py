"""`kato-transport kv serve`: an index of engines' blocks, behind HTTP and a request transport."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

import kato_transport as kt
from kato_transport.cli.daemon import log_to_stderr, say_ready, stop_on_signals
from kato_transport.contracts import Transport
from kato_transport.endpoints import default_endpoint, http_endpoint
from kato_transport.settings import Settings
from kato_transport_kv_events.cli.happenings import Listening, tell_of_progress
from kato_transport_kv_events.cli.output import Output
from kato_transport_kv_events.cli.seconds import Seconds
from kato_transport_kv_events.cli.sourcing import source_options, sourcing
from kato_transport_kv_events.index.block_index import MAX_BLOCKS, BlockIndex
from kato_transport_kv_events.stream import StreamSettings

if TYPE_CHECKING:
    from kato_transport_kv_events.service.running import IndexService

log = logging.getLogger("kato_transport.kv_events")


@click.command()
@source_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--rest-port", type=click.IntRange(0, 65535), help="For HTTP; by default REST_PORT; 0: any free one.")
@click.option("--zmq-port", type=click.IntRange(0, 65535), help="By default ZMQ_PORT; 0: any free one.")
@click.option("--snapshot", type=click.Path(path_type=Path), help="File to begin with, and to keep the index in.")
@click.option(
    "--snapshot-interval",
    "snapshot_interval_s",
    type=Seconds(),
    default=60.0,
    show_default=True,
    help="Seconds between two saves; 0: only at the end.",
)
@click.option(
    "--counting",
    type=click.Choice(["copies", "set"]),
    default="copies",
    show_default=True,
    help="What a block is that is stored again: another copy, or the same one told of again.",
)
@click.option(
    "--max-blocks", type=click.IntRange(min=1), default=MAX_BLOCKS, show_default=True, help="Most blocks that are kept."
)
@click.option(
    "--silence-limit",
    "silence_limit_s",
    type=Seconds(),
    default=0.0,
    show_default=True,
    help="Seconds of silence after which an engine is stale; 0: never.",
)
@click.option("--json", "as_lines", is_flag=True, help="After the ready line, a line of JSON for each state, gap and replay.")
def command(
    texts: tuple[str, ...],
    sources_file: Path | None,
    specs: tuple[str, ...],
    host: str,
    rest_port: int | None,
    zmq_port: int | None,
    snapshot: Path | None,
    snapshot_interval_s: float,
    counting: Literal["copies", "set"],
    max_blocks: int,
    silence_limit_s: float,
    as_lines: bool,
) -> None:
    """Keep an index of which engine holds which blocks, and answer queries about it until SIGINT or SIGTERM, then drain.

    When it can answer, it prints one line of JSON: ready, transport, zmq, rest (the endpoints as bound) and pid. Logs go to
    stderr. A second signal ends it at once.
    """
    index = BlockIndex(counting=counting, max_blocks=max_blocks)
    following = StreamSettings(silence_limit_s=silence_limit_s)
    settings = Settings.from_env()
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    wanted = sourcing(texts, sources_file, specs)
    output = Output(stop, held_back=True)
    with ExitStack() as running:
        listening = [Listening(output.line, events=False)] if as_lines else []
        handlers = [*listening, *kt.registry().event_handlers(settings)]
        service = running.enter_context(_service(index, handlers=handlers, settings=following, snapshot=snapshot))
        running.callback(output.let_go)
        wanted.follow(service.follow, service.discover)
        rest = service.serve_http(http_endpoint(host, settings.rest_port if rest_port is None else rest_port))
        transport, zmq = _serve_requests(service, settings, host, zmq_port)
        service.keep(snapshot_interval_s)
        say_ready(transport=transport, zmq=zmq, rest=rest)
        output.let_go()
        if as_lines:
            tell_of_progress(service.manager, output.line, stop)
        stop.wait()
        log.info("draining")
    output.check()


def _service(index: BlockIndex, **options: Any) -> IndexService:
    try:
        from kato_transport_kv_events.service.running import IndexService
    except ImportError as exc:
        raise kt.ConfigurationError("kv serve needs more: pip install 'kato-transport-kv-events[service]'") from exc
    return IndexService(index, **options)


def _serve_requests(
    service: IndexService, settings: Settings, host: str, zmq_port: int | None
) -> tuple[str | None, str | None]:
    """The transport's name and the endpoint as bound; HTTP alone will do where there is none, unless it was asked for."""
    transport = _request_transport(settings.transport, asked_for=zmq_port is not None)
    if transport is None:
        return None, None
    endpoint = default_endpoint(transport, host, settings.zmq_port if zmq_port is None else zmq_port, 0)
    return transport.name, service.serve_requests(endpoint, transport.name)


def _request_transport(name: str, *, asked_for: bool) -> Transport | None:
    try:
        return kt.registry().transport(name)
    except (kt.UnknownTransport, kt.PluginDisabled) as exc:
        if asked_for:
            raise
        log.warning("no request transport: %s %s", exc, "; ".join(getattr(exc, "__notes__", [])))
        return None
