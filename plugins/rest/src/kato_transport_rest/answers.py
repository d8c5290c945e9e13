"""What an upstream's answers mean. Servers of the original KATO give their errors no code; there the kept message texts tell
which one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.http.answers import JSON, STATUS, Refusal
from kato_transport.model import ErrorCode
from kato_transport.model import Response as Answer

CODECS = (MsgpackCodec(), JSON)

_OLD_TEXTS = (
    (re.compile(r"Unknown method\b"), ErrorCode.UNKNOWN_METHOD),
    (re.compile(r"Unknown gene\b"), ErrorCode.NOT_FOUND),
    (re.compile(r"Model .* not found$", re.DOTALL), ErrorCode.NOT_FOUND),
    (re.compile(r".* parameters? required$"), ErrorCode.INVALID_PARAMS),
)


def error_code(answer: Mapping[str, Any]) -> str:
    """An error answer's code, or the one its text stands for."""
    code = answer.get("code")
    if isinstance(code, str):
        return code
    message = str(answer.get("message", ""))
    return next((known for text, known in _OLD_TEXTS if text.match(message)), ErrorCode.INTERNAL)


def status_of(answer: Answer) -> int:
    """The HTTP status of an upstream's answer."""
    return STATUS.get(error_code(answer.body), 500) if answer.is_error else 200


def refusal_of(answer: Mapping[str, Any]) -> Refusal:
    """The refusal that an upstream's error answer stands for."""
    return Refusal.of(str(answer.get("message", "")), error_code(answer))
