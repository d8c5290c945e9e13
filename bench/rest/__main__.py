"""The gateway under wrk, beside raw ASGI with nothing behind it and gateways of threads, side by side in one run.

    python -m bench.rest [--connections 1,8,64,512] [--rounds 5] [--seconds 1] [--minutes 6] [--json FILE]

The gateway stands in front of an improved server, each a process, and is asked in two ways: a path of KATO's
(`GET /p1/ping`, one small call to the server) and any method (`POST /kato-api/call`, a map of 200 bytes each way, as JSON
to the gateway and as MessagePack behind it). Raw ASGI is uvicorn with httptools and uvloop, in an environment of its own in
`.peers/`; it gives the same answers out of its memory, and does not even read the body. The gateways of threads stand in
front of the same server, and know the path of KATO's only; see `bench/rest/threads.py`.

In each round every subject has a turn at each number of connections, one after the other, so that a noisy moment hits all;
ratios are of figures of one round, and the medians of the rounds are the result. A first round warms up. No round is begun
after `--minutes`. CPU time is that of gateway and server, all threads.

wrk is Debian's (`apt-get install wrk`). Absolute figures of a shared machine mean nothing; the ratios are the result.
"""

from __future__ import annotations

import argparse
import shutil
from contextlib import ExitStack

from bench.environment import environment, load
from bench.report import as_line, write_json
from bench.rest.stage import RAW_NEEDS, on_stage
from bench.rest.tables import report
from bench.rest.turns import Turns, measure


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=numbers, default=[1, 8, 64, 512], help="numbers of them, with commas between")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="of a turn; wrk knows whole ones only")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no other round is begun")
    parser.add_argument("--quick", action="store_true", help="one short round without raw ASGI: does everything work?")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.exit(1, "wrk is not installed, and nothing can be measured without it: apt-get install wrk\n")
    if options.quick:
        options.connections, options.rounds, options.minutes = [8], 1, 0.5
    about = environment("httptools", "uvloop", "starlette", rounds=options.rounds, seconds=options.seconds)
    with ExitStack() as stack:
        subjects = on_stage(stack, peers=not options.quick)
        turns = Turns(options.seconds, warm_up=not options.quick)
        found = measure(subjects, options.connections, turns, options.rounds, 60 * options.minutes)
    about |= {"raw ASGI": " ".join(RAW_NEEDS), "load after": load()}
    print(as_line(about) + "\n")
    print(report(found))
    write_json(options.json, environment=about, figures=[figure.as_map() for figure in found])


if __name__ == "__main__":
    main()
