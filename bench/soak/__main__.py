"""Mixed clients against servers that are killed, through ways that are cut; every answer and every memory is checked.

    python -m bench.soak [--minutes 5 | --seconds S] [--seed N] [--json]

Exit status 0 where everything that must be 0 is, 1 where it is not. Ctrl-C ends it with the report so far. A run is repeated
with its seed: what clients ask, which faults strike and which messages are lost; not how it all falls together in time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from bench.soak.course import Soak
from bench.soak.report import as_text, report
from bench.soak.stage import Stage


def main() -> int:
    options = _options()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: _end(ended, number))
    os.environ["LOG_LEVEL"] = "WARNING"
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    _say(f"seed {options.seed}; servers' logs and files in {folder}")
    with Stage(folder, options.seed) as stage:
        soak = Soak(stage, options.seed, ended, _say)
        soak.run(options.seconds)
        found = report(soak, stage, options.seed)
    print(json.dumps(found, indent=1) if options.json else as_text(found))
    if found["ok"]:
        shutil.rmtree(folder)
    return 0 if found["ok"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--minutes", type=float, default=5.0)
    how_long.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--json", action="store_true", help="the report as one JSON object, with every sample of memory")
    options = parser.parse_args()
    options.seconds = options.seconds or options.minutes * 60
    return options


def _say(sentence: str) -> None:
    """Beside the report, which goes to stdout."""
    print(sentence, file=sys.stderr, flush=True)


def _end(ended: threading.Event, number: int) -> None:
    """The first signal ends the soak in order, the second at once, without a report."""
    ended.set()
    signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
