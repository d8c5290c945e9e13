"""MessagePack, the codec of KATO's wire: strings as str, bytes as bytes, arrays as lists."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar

import msgpack

from kato_transport.contracts import Codec
from kato_transport.errors import DecodeError, LocalProtocolError
from kato_transport.hookspecs import hookimpl

PACKERS = 8
"""Kept for the next messages, as to make one takes as long as to pack 200 bytes. Each is used by one thread at a time: the
methods of what is packed may let others run."""

KEPT_BYTES = 1024 * 1024
"""A packer that has packed more is let go, as it keeps the room for that."""


class MsgpackCodec:
    """Packs with `msgpack`; map keys may be of any type, and nothing beyond the bytes given is ever allocated for."""

    name: ClassVar[str] = "msgpack"
    content_type: ClassVar[str] = "application/msgpack"

    def __init__(self) -> None:
        self._packers: deque[msgpack.Packer] = deque(maxlen=PACKERS)

    def encode(self, obj: Any) -> bytes:
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = msgpack.Packer()
        try:
            packed: bytes = packer.pack(obj)
        except Exception as exc:  # what is packed may have methods of its own, as a map's `items`
            raise LocalProtocolError(f"cannot be sent as msgpack: {exc}") from exc
        if len(packed) <= KEPT_BYTES:
            self._packers.append(packer)
        return packed

    def decode(self, data: bytes) -> Any:
        try:
            return msgpack.unpackb(data, strict_map_key=False)
        except Exception as exc:  # unpackb documents ValueError and friends, but not what a hook-less ext or a key may raise
            raise DecodeError(self.name, bytes(data[:16]), _reason(exc), size=len(data)) from exc


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


@hookimpl
def kato_register_codecs() -> Iterable[Codec]:
    return [MsgpackCodec()]
