"""An engine that hands work to a process of its own, for `kato-transport serve --processor forking_engine:Engine`."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any, NoReturn

STOPS = (signal.SIGTERM, signal.SIGINT)


class Engine:
    """The gene `child` forks one, and is its process id; `ended` is how the child ended."""

    id, name, time = "e1", "Engine", 0

    def __init__(self) -> None:
        self._child = 0

    def observe(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def learn(self) -> str:
        return ""

    def get_predictions(self, unique_id: Mapping[str, Any]) -> list[Any]:
        return []

    def get_gene(self, gene_name: str) -> int:
        if gene_name == "ended":
            _, status = os.waitpid(self._child, 0)
            return os.waitstatus_to_exitcode(status)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # in the child, too, until it is ready for them
        self._child = os.fork()
        if not self._child:
            _live_until_a_signal()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return self._child


def _live_until_a_signal() -> NoReturn:
    """End well once a signal's handler, inherited like everything else, has run."""
    heard, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    os.read(heard, 1)
    os._exit(0)
