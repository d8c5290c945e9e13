"""A process that is told what to do, a line of JSON at a time, and answers each with another."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TextIO


def own_output() -> TextIO:
    """Where answers go; what anybody else prints in this process goes to its log."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(commands: Mapping[str, Callable[..., Any]], answers: TextIO) -> None:
    """Until the input ends, which it does when the one who started this process is gone."""
    _say(answers, {"answer": "ready"})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            _say(answers, {"answer": commands[request.pop("do")](**request)})
        except Exception as exc:
            traceback.print_exc()
            _say(answers, {"error": f"{type(exc).__name__}: {exc}"})


def _say(answers: TextIO, what: Mapping[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")


def as_rows(resident: Mapping[tuple[str, int | None, int | bytes], int]) -> list[list[Any]]:
    """Blocks by medium, group and hash, as JSON has them."""
    return [
        [medium, group, {"hex": block_hash.hex()} if isinstance(block_hash, bytes) else block_hash, copies]
        for (medium, group, block_hash), copies in resident.items()
    ]


def sent_size(topic: str, payload: bytes) -> int:
    """Bytes of a batch's message on a ZeroMQ connection."""
    return sum(length + (2 if length < 256 else 9) for length in (len(topic.encode()), 8, len(payload)))
