"""Calls over every transport, beside raw pyzmq and beside peers, side by side in one run.

    python -m bench.rpc [--only SUBJECT/CASE]... [--rounds 7] [--seconds 0.1] [--minutes 7] [--no-peers] [--json FILE]

Raw is a DEALER and a ROUTER with one codec and nothing else, and serves by one thread. Server and client are a process
each, and peers' have an environment of their own in `.peers/`, made when it is missing; what cannot be had is said and left
out. In each round every subject has a turn at the case while all others wait, between two turns of raw + msgspec; the ratio
is to these two, and the medians of the rounds are the result. Each turn begins with a call whose answer is checked, and
50 ms that do not count. No round of a case begins after its share of what is left of `--minutes`.

CPU time is that of client and server together; memory is the most that the server had at once. What can have several calls
in flight on one thread does so where 64 are; else 64 threads make one at a time. `--only` may be told several times; the
subject is any part of its name, and either may be left out: `--only improved/`, `--only /10MB`, `--only pooled/sleep`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from attrs import asdict

from bench.environment import environment, load
from bench.report import as_line, write_json
from bench.rpc.cases import CASES, Case
from bench.rpc.measure import measure
from bench.rpc.roster import OWN, PEERS, RAW, Subject, installed
from bench.rpc.tables import report

Pairs = list[tuple[Case, list[Subject]]]


def chosen(only: Sequence[str], subjects: Sequence[Subject]) -> Pairs:
    """Cases with their subjects, among which the yardstick always is."""
    wanted = [one.partition("/")[::2] for one in only] or [("", "")]

    def is_wanted(subject: Subject, case: Case) -> bool:
        return subject.is_in(case.name) and any(name in subject.name and key in ("", case.name) for name, key in wanted)

    pairs = []
    for case in CASES:
        some = [subject for subject in subjects if is_wanted(subject, case)]
        if some:
            pairs.append((case, [subject for subject in subjects if subject.name == RAW or subject in some]))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="SUBJECT/CASE")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn")
    parser.add_argument("--minutes", type=float, default=7.0, help="after which no other round is begun")
    parser.add_argument("--no-peers", action="store_true", help="neither install nor measure them")
    parser.add_argument("--quick", action="store_true", help="one round of short turns without peers: does everything work?")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.no_peers = 1, 0.02, True
    pairs = chosen(options.only, OWN if options.no_peers else [*OWN, *PEERS])
    if not pairs:
        there = f"subjects: {_names((*OWN, *PEERS))}; cases: {_names(CASES)}"
        parser.error(f"nothing is {' or '.join(options.only)}; {there}")
    around = environment("msgspec", "msgpack", rounds=options.rounds, seconds=options.seconds)
    pairs, missing = with_peers(pairs)
    found = measure(pairs, options.rounds, options.seconds, 60 * options.minutes)
    around |= {"load after": load(), "not to be had": missing}
    print(as_line(around) + "\n")
    print(report(found))
    write_json(options.json, environment=around, **asdict(found))


def with_peers(pairs: Pairs) -> tuple[Pairs, list[str]]:
    """With peers installed, and the names of those that cannot be had."""
    peers = {subject.name: subject for _, some in pairs for subject in some if subject.peer}
    there = {name: installed(subject) for name, subject in peers.items()}
    ready = [
        (case, [found for subject in some if (found := there.get(subject.name, subject)) is not None]) for case, some in pairs
    ]
    return ready, [name for name, found in there.items() if found is None]


def _names(all_of_them: Iterable[Case | Subject]) -> str:
    return " | ".join(one.name for one in all_of_them)


if __name__ == "__main__":
    main()
