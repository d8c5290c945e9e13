"""What clients know of their observations, and whether a memory agrees with them. No I/O.

An observation holds one symbol, `CLIENT.NUMBER`, which is its unique id as well, and nobody else's. What came of it is one of
three things: it was acknowledged, it was refused (nothing was run, says the error), or nobody knows. A memory must hold the
first kind exactly once and in each client's order, the second not at all, and the third at most once, if ever so late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from attrs import Factory, define, frozen

MOST_OPEN = 10_000
"""Observations of one client of which nobody knows whether they will come yet; the oldest are taken for lost for good."""


@frozen
class Account:
    """One client's observations since its last account: all up to `last` were acknowledged but those named here."""

    last: int
    unknown: frozenset[int]
    refused: frozenset[int]


@define
class Ledger:
    """What one client knows of its own observations."""

    name: str
    last: int = 0
    _unknown: set[int] = Factory(set)
    _refused: set[int] = Factory(set)

    def next(self) -> str:
        """The unique id of the next observation."""
        self.last += 1
        return f"{self.name}.{self.last}"

    def unknown(self, unique_id: str) -> None:
        self._unknown.add(int(unique_id.rpartition(".")[2]))

    def refused(self, unique_id: str) -> None:
        self._refused.add(int(unique_id.rpartition(".")[2]))

    def account(self) -> Account:
        """What came of everything since the last account."""
        account = Account(self.last, frozenset(self._unknown), frozenset(self._refused))
        self._unknown, self._refused = set(), set()
        return account


@define
class _Client:
    """What is left to know of a client once its memory has been looked at and cleared."""

    audited: int = 0
    open: dict[int, None] = Factory(dict)
    """Those nobody knew of that have not shown up, in order."""


class Audit:
    """The observations of all clients of one memory, which is cleared after each look at it."""

    def __init__(self) -> None:
        self.findings: Counter[str] = Counter()
        """`lost`, `doubled`, `disordered` and `refused but run`; all must stay 0."""
        self.acknowledged = self.unknown = self.refused = self.late = 0
        self._clients: dict[str, _Client] = {}

    def look(self, memory: Iterable[str], accounts: Mapping[str, Account]) -> list[str]:
        """Compare a memory, its events in order, with what its clients know; a sentence for each disagreement."""
        seen: dict[str, list[int]] = {name: [] for name in accounts}
        strange = []
        for event in memory:
            name, _, number = event.rpartition(".")
            if name in seen:
                seen[name].append(int(number))
            else:
                strange.append(self._found("doubled", f"{event} is nobody's"))
        return strange + [found for name, account in accounts.items() for found in self._compare(name, account, seen[name])]

    def _compare(self, name: str, account: Account, seen: list[int]) -> list[str]:
        client = self._clients.setdefault(name, _Client())
        new = range(client.audited + 1, account.last + 1)
        acknowledged = [number for number in new if number not in account.unknown and number not in account.refused]
        self.acknowledged += len(acknowledged)
        self.unknown += len(account.unknown)
        self.refused += len(account.refused)
        found = [
            *self._missing(name, acknowledged, seen),
            *self._too_many(name, seen),
            *self._out_of_place(name, client, account, seen, set(acknowledged)),
        ]
        client.audited = account.last
        client.open |= dict.fromkeys(sorted(account.unknown - set(seen)))
        while len(client.open) > MOST_OPEN:
            del client.open[next(iter(client.open))]
        return found

    def _missing(self, name: str, acknowledged: list[int], seen: list[int]) -> list[str]:
        missing = set(acknowledged) - set(seen)
        return [self._found("lost", f"{name}.{number} was acknowledged and is not there") for number in sorted(missing)]

    def _too_many(self, name: str, seen: list[int]) -> list[str]:
        often = [(number, times) for number, times in Counter(seen).items() if times > 1]
        return [self._found("doubled", f"{name}.{number} is there {times} times") for number, times in often]

    def _out_of_place(
        self, name: str, client: _Client, account: Account, seen: list[int], acknowledged: set[int]
    ) -> Iterable[str]:
        newest = 0
        for number in seen:
            if number in acknowledged:
                if number < newest:
                    yield self._found("disordered", f"{name}.{number} comes after {name}.{newest}")
                newest = max(number, newest)
            elif number in account.refused:
                yield self._found("refused but run", f"{name}.{number} was refused, and is there")
            elif number <= client.audited:
                if number in client.open:
                    del client.open[number]
                    self.late += 1
                else:
                    yield self._found("doubled", f"{name}.{number} is there again, after its memory was cleared")

    def _found(self, what: str, sentence: str) -> str:
        self.findings[what] += 1
        return f"{what}: {sentence}"
