"""JSON, for peers that have no MessagePack and for people who read the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from kato_transport.contracts import Codec
from kato_transport.errors import DecodeError, LocalProtocolError
from kato_transport.hookspecs import hookimpl


class JsonCodec:
    """UTF-8 JSON without NaN or infinities; bytes cannot be carried."""

    name: ClassVar[str] = "json"
    content_type: ClassVar[str] = "application/json"

    def encode(self, obj: Any) -> bytes:
        try:
            return _ENCODER.encode(obj).encode()
        except Exception as exc:  # what is encoded may have methods of its own, as a map's `items`
            raise LocalProtocolError(f"cannot be sent as json: {exc}") from exc

    def decode(self, data: bytes) -> Any:
        try:
            return parsed(data)
        except (ValueError, RecursionError) as exc:
            raise DecodeError(self.name, bytes(data[:16]), str(exc), size=len(data)) from exc


def parsed(data: bytes) -> Any:
    """What a JSON text says, as RFC 8259 has it: so without NaN. `ValueError` or `RecursionError` where it is none."""
    return _DECODER.decode(data.decode(json.detect_encoding(data), "surrogatepass"))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


# Kept, as `json.dumps` and `json.loads` make one of their own for each call with options.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


@hookimpl
def kato_register_codecs() -> Iterable[Codec]:
    return [JsonCodec()]
