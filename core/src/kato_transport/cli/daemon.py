"""What the commands have in common that run until they are told to stop: signals, the log and the ready line."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import click

from kato_transport.cli.output import as_json
from kato_transport.cli.stopping import Stop


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set; a second one ends the process, and a forked child is left alone."""
    stop = Stop()
    pid = os.getpid()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if os.getpid() != pid:
            return
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def stop_with_parent(stop: threading.Event, within_s: float) -> threading.Event:
    """Have the end of standard input set `stop`: the process that held its other end is gone, however it ended.

    What has not ended `within_s` after that is ended here, as nobody is left who could. Gives an event that says that this
    is why.
    """
    orphaned = threading.Event()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            continue
        orphaned.set()
        stop.set()
        time.sleep(within_s)
        os._exit(1)

    threading.Thread(target=watch, name="kato-parent", daemon=True).start()
    return orphaned


def log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def say_ready(**endpoints: Any) -> None:
    """Print the one line of JSON that tells whoever started the command that it can be used."""
    click.echo(as_json({"ready": True, **endpoints, "pid": os.getpid()}))
    sys.stdout.flush()
