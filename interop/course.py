"""The way through all engines, versions and scenarios, within one time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from attrs import Factory, define, evolve

from interop.engines import SET_UPS, SetUp, WholeEngine
from interop.follower import Unequal
from interop.installed import NEWEST, Unavailable, engine_environment, publisher, publisher_environment
from interop.peer import Broken
from interop.publishers import Publisher, scenarios
from interop.report import Outcome, Row
from interop.stage import Scenario, Stage
from kato_transport.testing.waiting import at_most

T = TypeVar("T")

PUBLISHERS: Final = {"vllm": ("0.10.2", "0.23.0", "0.26.0", NEWEST), "sglang": ("0.5.17", "0.5.23")}
"""vLLM: the first with array events that have a medium, the last with array events, the first that sends a topic in replays,
and today's. SGLang: one with array events, one with maps."""
ENGINE: Final = "0.32.0"
SCENARIO_S: Final = 240.0
"""More than enough for a whole engine that starts twice."""


@define
class Course:
    """Adds a row to `rows` for whatever it comes to; `say` is told of each."""

    home: Path
    limit_s: float
    """For playing; what is installed before does not count."""
    wanted: str
    """Part of the names of the scenarios to be played."""
    say: Callable[[Row], None]
    rows: list[Row] = Factory(list)
    _played_s: float = 0.0

    def publishers(self) -> None:
        """Each version's own publisher, one process for each scenario."""
        for engine, versions in PUBLISHERS.items():
            for version in versions:
                self._publisher(engine, version)

    def engines(self) -> None:
        """A whole engine, one process for each of its set-ups."""
        row = Row(engine="whole vLLM", version=ENGINE, outcome=Outcome.UNTRIED)
        python = self._had(row, lambda: engine_environment(self.home, ENGINE))
        if python is not None:
            for set_up in SET_UPS:
                self._whole(evolve(row, version=f"{ENGINE}, {set_up.name}"), python, set_up)

    def _publisher(self, engine: str, version: str) -> None:
        row = Row(engine=f"{engine} publisher", version=version, outcome=Outcome.UNTRIED)
        had = self._had(row, lambda: (publisher_environment(self.home), publisher(self.home, engine, version)))
        if had is None:
            return
        python, module = had
        row = evolve(row, version=module.version)
        for scenario in self._chosen(scenarios(engine)):
            self._play(row, scenario, lambda options: closing(Publisher(python, module.path, self.home, **options)))

    def _whole(self, row: Row, python: Path, set_up: SetUp) -> None:
        chosen = self._chosen(set_up.scenarios)
        if not chosen or self._late(row):
            return
        try:
            with self._playing():
                engine = WholeEngine(python, self.home, **set_up.options)
        except Broken as exc:
            self._add(evolve(row, scenario="start", outcome=Outcome.BROKEN, why=str(exc)))
            return
        with closing(engine):
            for scenario in chosen:
                self._play(row, scenario, lambda _: nullcontext(engine))

    def _chosen(self, all_of_them: Iterable[Scenario]) -> list[Scenario]:
        return [scenario for scenario in all_of_them if self.wanted in scenario.name]

    def _had(self, row: Row, have: Callable[[], T]) -> T | None:
        try:
            return have()
        except Unavailable as exc:
            self._add(evolve(row, outcome=Outcome.UNAVAILABLE, why=str(exc)))
            return None

    def _play(self, row: Row, scenario: Scenario, engine: Callable[[Any], AbstractContextManager[Any]]) -> None:
        row = evolve(row, scenario=scenario.name)
        if self._late(row):
            return
        before = self._played_s
        with self._playing():
            outcome, why = _outcome(scenario, engine)
        self._add(evolve(row, outcome=outcome, why=why, seconds=self._played_s - before))

    def _late(self, row: Row) -> bool:
        late = self._played_s > self.limit_s
        if late:
            self._add(evolve(row, outcome=Outcome.UNTRIED, why=f"the {self.limit_s:g} s were over"))
        return late

    @contextmanager
    def _playing(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._played_s += time.monotonic() - began

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        self.say(row)


def _outcome(scenario: Scenario, engine: Callable[[Any], AbstractContextManager[Any]]) -> tuple[Outcome, str]:
    try:
        with at_most(SCENARIO_S, "the scenario"), engine(scenario.options) as played, Stage() as stage:
            scenario.play(played, stage)
            return Outcome.EQUAL, stage.told()
    except Unequal as exc:
        return Outcome.UNEQUAL, str(exc)
    except (Broken, pytest.fail.Exception) as exc:
        return Outcome.BROKEN, str(exc)
