"""What goes wrong: faults dealt from a shuffled deck, one after the other, so that each kind has its turn."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench.soak.commands import Command
from kato_transport.testing import FaultProxy
from kato_transport.testing.proxy import Direction

ENDS: Final = (signal.SIGKILL, signal.SIGTERM)
LONGEST_S: Final = 1.5
"""Of a fault that lasts."""


class Faults:
    """Strikes at random, by the dice; `ended` cuts a fault short."""

    def __init__(
        self, dice: random.Random, links: Mapping[str, FaultProxy], mortal: Sequence[Command], ended: threading.Event
    ) -> None:
        self.struck: Counter[str] = Counter()
        self._dice = dice
        self._links = list(links.values())
        self._mortal = mortal
        self._ended = ended
        self._deck: list[tuple[str, Callable[[], None]]] = []

    def strike(self) -> None:
        """The next fault, until it is over."""
        if not self._deck:
            self._deck = [
                ("cut", lambda: self._dice.choice(self._links).cut()),
                ("half-close", lambda: self._dice.choice(self._links).half_close()),
                ("stall", self._stall),
                ("delay", self._delay),
                ("swallow and cut", self._swallow),
            ]
            self._deck += [(f"{end.name} {one.name}", self._ending(one, end)) for one in self._mortal for end in ENDS]
            self._dice.shuffle(self._deck)
        name, fault = self._deck.pop()
        fault()
        self.struck[name] += 1

    def _stall(self) -> None:
        direction = self._direction()
        direction.stall()
        self._last()
        direction.flow()

    def _delay(self) -> None:
        direction = self._direction()
        direction.delay_s = self._dice.uniform(0.001, 0.05)
        self._last()
        direction.delay_s = 0.0

    def _swallow(self) -> None:
        """Bytes vanish; what comes after them would be nonsense, so that the connections are cut then."""
        link = self._dice.choice(self._links)
        direction = self._dice.choice([link.up, link.down])
        direction.drop()
        self._last()
        link.cut()
        direction.flow()

    def _ending(self, command: Command, number: signal.Signals) -> Callable[[], None]:
        def end_and_return() -> None:
            command.end(number)
            self._last()
            command.start()
            command.restarts += 1

        return end_and_return

    def _direction(self) -> Direction:
        link = self._dice.choice(self._links)
        return self._dice.choice([link.up, link.down])

    def _last(self) -> None:
        self._ended.wait(self._dice.uniform(0.1, LONGEST_S))
