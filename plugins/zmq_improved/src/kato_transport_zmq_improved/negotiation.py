"""What a server can do: asked by a `ping` that old servers understand, in the one frame that they expect."""

from __future__ import annotations

from typing import Any, Final

from kato_transport import Codec
from kato_transport.wire import decode_response

PING: Final[dict[str, Any]] = {"method": "ping", "params": {}}


def correlates(codec: Codec, answer: bytes) -> bool:
    """Whether the server that gave this answer to `PING` echoes correlation ids; old servers name no features."""
    features = decode_response(codec, answer).body.get("features")
    return isinstance(features, list) and "correlation" in features
