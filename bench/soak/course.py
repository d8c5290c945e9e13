"""The soak itself: clients work in shifts while faults strike; after each shift every memory is looked at."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, Final

from attrs import Factory, define

from bench.soak.callers import Group
from bench.soak.calls import Tally
from bench.soak.clients import run
from bench.soak.faults import Faults
from bench.soak.ledger import Account, Audit
from bench.soak.memory import Scales
from bench.soak.stage import Stage
from kato_transport.testing.waiting import comes_true

SHIFT_S: Final = 10.0
"""How long clients work before their memories are looked at."""
BETWEEN_FAULTS_S: Final = 0.5
ANSWER_S: Final = 90.0
"""How long a process of clients may take to do as it is told before it counts as hanging."""
SETTLE_S: Final = 20.0
MORE_THREADS: Final = 8
"""Workers of a server: started as they are needed, and kept."""


class Broken(Exception):
    """A process of clients hangs or has died: the soak cannot go on."""


@define
class Found:
    """What a soak has found so far, beside what the audits, the faults and the scales know."""

    seconds: float = 0.0
    shifts: int = 0
    broken: int = 0
    tally: Tally = Factory(Tally)
    leaks: Counter[str] = Factory(lambda: Counter(threads=0, tasks=0, descriptors=0))
    reconnections: int = 0
    complaints: list[str] = Factory(list)


class Crew:
    """A process of clients."""

    def __init__(self, name: str, groups: Sequence[Group], models: Mapping[str, int], seed: int) -> None:
        self.name = name
        self._pipe: Connection
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=run, args=(groups, models, seed, theirs))
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def tell(self, word: str) -> None:
        self._pipe.send(word)

    def answer(self) -> Any:
        """What it says; `Broken` where it says nothing, and where it hangs is then on stderr."""
        try:
            if self._pipe.poll(ANSWER_S):
                return self._pipe.recv()
        except (EOFError, OSError) as exc:
            raise Broken(f"the process of {self.name} has died; why is on stderr") from exc
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(1.0)  # it writes down where every thread is
        raise Broken(f"the process of {self.name} has not answered for {ANSWER_S:g} s; where it hangs is on stderr")

    def close(self) -> None:
        self._process.kill()
        self._process.join()


class Soak:
    """One run on a stage. `ended` may be set at any time; what was found until then stays good. `say` takes what a person
    who waits would like to know."""

    def __init__(self, stage: Stage, seed: int, ended: threading.Event, say: Callable[[str], None]) -> None:
        self.found = Found()
        self.scales = Scales()
        self.audits = {name: Audit() for name in stage.servers}
        self.faults = Faults(random.Random(seed), stage.links, stage.mortal, ended)
        self._stage = stage
        self._seed = seed
        self._ended = ended
        self._say = say
        for server in stage.servers.values():
            server.greet()
        self._before = {name: server.about() for name, server in stage.servers.items()}

    def run(self, seconds: float) -> None:
        """Until the time has passed or `ended` is set."""
        with ExitStack() as working:
            try:
                crews = self._hired(working)
                started = time.monotonic()
                shift_s = min(SHIFT_S, seconds / 2)
                while (now := time.monotonic()) < started + seconds and not self._ended.is_set():
                    self._shift(crews, min(now + shift_s, started + seconds))
                    self.found.seconds = time.monotonic() - started
                    self._say(f"{self.found.seconds:.0f} s: {self._so_far()}")
                self._dismiss(crews)
            except Broken as exc:
                self.found.broken += 1
                self.found.complaints.append(str(exc))
                return
        self._look_for_leaks_of_servers()
        self._stop_commands()

    def _hired(self, working: ExitStack) -> list[Crew]:
        stage = self._stage
        groups = {
            "one": stage.groups_of_threads("one"),
            "two": stage.groups_of_threads("two"),
            "tasks": stage.groups_of_tasks("tasks"),
        }
        crews = [Crew(name, own, stage.models, self._seed) for name, own in groups.items()]
        for crew in crews:
            working.callback(crew.close)
        for crew in crews:
            crew.answer()
        return crews

    def _shift(self, crews: Sequence[Crew], until: float) -> None:
        _all(crews, "work")
        if not self.found.shifts:
            self._say("clients are at work")
        while time.monotonic() < until and not self._ended.wait(BETWEEN_FAULTS_S):
            self.faults.strike()
            self._weigh(crews)
        accounts: dict[str, dict[str, Account]] = {}
        for by_memory in _all(crews, "rest"):
            for memory, own in by_memory.items():
                accounts.setdefault(memory, {}).update(own)
        for name, audit in self.audits.items():
            server = self._stage.servers[name]
            self.found.complaints += audit.look(server.emptied_memory(), accounts[name])
            server.about()
        self.found.shifts += 1

    def _so_far(self) -> str:
        acknowledged = sum(audit.acknowledged for audit in self.audits.values())
        disagreements = sum(audit.findings.total() for audit in self.audits.values())
        return f"{acknowledged:,} observations, {self.faults.struck.total()} faults, {disagreements} disagreements"

    def _weigh(self, crews: Sequence[Crew]) -> None:
        pids = {f"server {name}": command.pid for name, command in self._stage.servers.items()}
        pids |= {f"clients {crew.name}": crew.pid for crew in crews}
        self.scales.weigh({**pids, "proxy": self._stage.proxy.pid, "this process": os.getpid()})

    def _dismiss(self, crews: Sequence[Crew]) -> None:
        for crew, figures in zip(crews, _all(crews, "end"), strict=True):
            self.found.tally.add(figures["tally"])
            self.found.leaks.update(figures["leaks"])
            self.found.reconnections += figures["reconnections"]
            if any(figures["leaks"].values()):
                self.found.complaints.append(f"clients {crew.name} leave behind: {figures['leaks']}")

    def _look_for_leaks_of_servers(self) -> None:
        """Their clients have gone, so they have as many descriptors as before the first came, and no thread but workers."""
        for name, server in self._stage.servers.items():
            most = {**self._before[name], "threads": self._before[name]["threads"] + MORE_THREADS}

            def leaks(server: Any = server, most: Mapping[str, int] = most) -> dict[str, int]:
                now = server.about()
                return {what: max(0, now[what] - most[what]) for what in ("threads", "descriptors")}

            if not comes_true(lambda leaks=leaks: not any(leaks().values()), SETTLE_S):  # type: ignore[misc]
                left = leaks()
                self.found.leaks.update(left)
                self.found.complaints.append(f"server {name} has left over: {left}")

    def _stop_commands(self) -> None:
        for command in self._stage.commands.values():
            command.end(signal.SIGTERM)


def _all(crews: Sequence[Crew], word: str) -> list[Any]:
    """Tell every crew, then hear every answer."""
    for crew in crews:
        crew.tell(word)
    return [crew.answer() for crew in crews]
