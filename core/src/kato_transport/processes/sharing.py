"""Processors shared out among worker processes, and the service in front of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from kato_transport.errors import InvalidSetting
from kato_transport.plugins import registry
from kato_transport.processes.service import Forwarding
from kato_transport.processes.worker import WorkerProcess
from kato_transport.settings import Settings

TRANSPORT = "improved"
"""Between this process and the workers, whatever clients use: it carries many calls at a time."""


@contextmanager
def shared(specs: Sequence[str], processes: int, data: Path | None, settings: Settings, threads: int) -> Iterator[Forwarding]:
    """The processors of `specs` in so many processes, until the block ends; then these drain and end, all at once.

    `threads` is how many calls may be passed on at a time. `ConfigurationError` where a process cannot serve.
    """
    transport = registry().transport(TRANSPORT)
    options = settings.client_options(
        registry().codec(settings.codec),
        heartbeat_interval_s=0.0,  # the end of a process is noticed by itself
        compression="",
        max_connections=threads,
    )
    if data is not None:
        _make_folder(data)
    with ExitStack() as running:
        folder = Path(running.enter_context(TemporaryDirectory(prefix="kato-workers-")))
        workers: list[WorkerProcess] = []
        for number in range(processes):
            worker = WorkerProcess(_arguments(specs[number::processes], data), transport, folder, number, options)
            running.callback(worker.close, settings.drain_s)
            workers.append(worker)
        for worker in workers:
            running.callback(worker.stop)  # each before any is waited for
        for worker in workers:
            worker.start()
        places = [divmod(place, processes) for place in range(len(specs))]
        yield Forwarding([(workers[number].processors[turn], workers[number]) for turn, number in places])


def leave(endpoint: str) -> None:
    """Remove a worker's socket, and the folder with the last of them, where nobody else is left to do so."""
    socket = Path(endpoint.removeprefix("ipc://"))
    with suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


def _arguments(specs: Sequence[str], data: Path | None) -> list[str]:
    """What a worker is told on its command line; it has the environment of this process beside."""
    processors = [argument for spec in specs for argument in ("--processor", spec)]
    return ["--no-rest", "--workers", "1", *processors, *(["--data", str(data)] if data is not None else [])]


def _make_folder(data: Path) -> None:
    """A file can be had by one process only."""
    try:
        data.mkdir(exist_ok=True)
    except FileExistsError as exc:
        raise InvalidSetting(
            f"data {str(data)!r} is a file, which one process can have; several keep their processors' files in a folder:"
            " give a path that is one, or that does not exist yet, or one process"
        ) from exc
    except OSError as exc:
        raise InvalidSetting(f"data {str(data)!r} cannot be used: {exc}") from exc
