"""Our side against engines themselves: their own publishers, and a whole vLLM on the CPU.

    python -m interop [--only publishers|engines] [--scenario TEXT] [--minutes 15] [--home .interop] [--json]

Whatever it needs is installed under `--home` when it is not there yet. Exit status 0 where all that could be had was equal, 1
where something was not or it was ended early; Ctrl-C ends it with the report so far. No process is left in any case.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

from interop.course import Course
from interop.peer import ROOT
from interop.report import Row, as_json, as_text, in_order

PARTS = ("publishers", "engines")


def main() -> int:
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    logging.getLogger("kato_transport").setLevel(logging.ERROR)  # losses and restarts are what this is about
    course = Course(options.home.resolve(), options.minutes * 60, options.scenario, _say)
    finished = False
    with suppress(KeyboardInterrupt):
        for part in [options.only] if options.only else PARTS:
            getattr(course, part)()
        finished = True
    if options.json:
        print(json.dumps(as_json(course.rows, finished=finished), indent=1))
    else:
        print(as_text(course.rows, finished=finished))
    return 0 if finished and in_order(course.rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one of the two")
    parser.add_argument("--scenario", default="", metavar="TEXT", help="only those with this in their names")
    parser.add_argument("--minutes", type=float, default=15.0, help="for playing; installing is bounded by itself")
    parser.add_argument("--home", type=Path, default=ROOT / ".interop", help="where things are installed, up to 4 GB")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    return parser.parse_args()


def _say(row: Row) -> None:
    """Beside the report, which goes to stdout."""
    print(f"{row.engine} {row.version}: {row.scenario}: {row.outcome}".replace(": :", ":"), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
