"""What a server can do: asked by a `ping` that old servers understand, in the one frame that they expect."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen

from kato_transport import ClientOptions, Codec, RemoteProtocolError
from kato_transport.wire import decode_response

PING: Final[dict[str, Any]] = {"method": "ping", "params": {}}


@frozen
class Abilities:
    """Of a server, as far as this client has a use for them."""

    correlation: bool = False
    """It echoes correlation ids; without, it is asked one request at a time and in one frame each."""
    buffers: bool = False
    """It takes large bytes in frames of their own."""
    compression: str = ""
    """The compression of this client's choice, where the server can read it."""


NONE: Final = Abilities()
"""Of the original's servers."""


def abilities(options: ClientOptions, answer: bytes) -> Abilities:
    """Those of the server that gave this answer to `PING`; old servers name no features."""
    features = decode_response(options.codec, answer).body.get("features")
    if not isinstance(features, list) or "correlation" not in features:
        return NONE
    return Abilities(True, "buffers" in features, options.compression if options.compression in features else "")


def refuses_correlation(codec: Codec, answer: bytes) -> bool:
    """Whether an answer that came without correlation is an old server's to a correlated request: it took the id for the
    message, so it is an error. Anything else is the late answer of an exchange that had none."""
    try:
        return decode_response(codec, answer).is_error
    except RemoteProtocolError:
        return False
