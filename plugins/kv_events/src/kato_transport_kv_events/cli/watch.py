"""`kato-transport kv watch`: engines as they go, a live view in a terminal and lines of JSON elsewhere."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kato_transport import ConfigurationError, registry
from kato_transport.cli.daemon import log_to_stderr, stop_on_signals
from kato_transport.settings import Settings
from kato_transport_kv_events.cli.asking import wants_json
from kato_transport_kv_events.cli.happenings import Happening, Listening, tell_of_progress
from kato_transport_kv_events.cli.output import Output
from kato_transport_kv_events.cli.sourcing import Sourcing, source_options, sourcing

if TYPE_CHECKING:
    from kato_transport_kv_events.subscription import KVEventManager


@click.command()
@source_options
@click.option("--json", "as_lines", is_flag=True, help="Lines of JSON, as they are printed anyway where there is no terminal.")
def command(texts: tuple[str, ...], sources_file: Path | None, specs: tuple[str, ...], as_lines: bool) -> None:
    """Follow engines until SIGINT or SIGTERM: in a terminal a live view, elsewhere a line of JSON for all that happens.

    The view shows states, lag, speed, gaps, replays and the size of an index. Lines have a type: that of the event, or
    state, gap, replay, forgotten, removed. What events say of their tokens is left out.
    """
    wanted = sourcing(texts, sources_file, specs)
    stop = stop_on_signals()
    if wants_json(as_lines):
        _print_lines(wanted, stop)
    else:
        _show(wanted, stop)


def _print_lines(wanted: Sourcing, stop: threading.Event) -> None:
    log_to_stderr(Settings.from_env().log_level)
    output = Output(stop)
    with _following(wanted, Listening(output.line, events=True)) as manager:
        tell_of_progress(manager, output.line, stop)
    output.check()


def _show(wanted: Sourcing, stop: threading.Event) -> None:
    try:
        from kato_transport_kv_events.cli.live import RECENT, LiveView
    except ImportError as exc:
        text = "the live view needs rich: pip install 'kato-transport-kv-events[watch]'; or use --json"
        raise ConfigurationError(text) from exc
    from kato_transport_kv_events.index import BlockIndex

    recent: deque[Happening] = deque(maxlen=RECENT)
    index = BlockIndex()
    with _following(wanted, index, Listening(recent.append, events=False)) as manager:
        LiveView(manager, index, recent).show_until(stop)


@contextmanager
def _following(wanted: Sourcing, *handlers: Any) -> Iterator[KVEventManager]:
    from kato_transport_kv_events.discovery import Roster
    from kato_transport_kv_events.subscription import KVEventManager

    installed = registry().event_handlers(Settings.from_env())
    with KVEventManager([*handlers, *installed]) as manager, ExitStack() as running:
        wanted.follow(manager.add_source, lambda discovery: running.enter_context(Roster(manager, discovery)))
        yield manager
