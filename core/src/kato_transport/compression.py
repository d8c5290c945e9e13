"""Large messages made smaller: zlib everywhere, zstd where the package `zstandard` is installed.

A message says by its first bytes that it is compressed, and how: 0x78 is zlib's, 28 B5 2F FD zstd's, and no map of
MessagePack or JSON begins like that. What a peer sends is never let grow beyond a limit, however much it claims to be.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Final

from kato_transport.errors import DecodeError, InvalidSetting, RemoteProtocolError

ZLIB: Final = "zlib"
ZSTD: Final = "zstd"
COMPRESSIONS: Final = (ZLIB, ZSTD)

LEAST_BYTES = 16 * 1024
"""Smaller messages go as they are: at this size zlib takes about 0.2 ms, what a network of a gigabit takes for what it saves;
zstd takes a third of that."""

MARKS: Final = b"\x78\x28"
"""First bytes that are worth a closer look."""

_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_ZSTD_HEAD = b"\x28\xb5\x2f\xfd"
_FASTEST = 1
_CHUNK = 64 * 1024

EASY_BYTES = 2 * 1024 * 1024
MOST_RATIO = 100
"""A message of more than `EASY_BYTES` that is packed harder than this travels as it is, and is refused if it does not: what
it costs its sender is nothing, and unpacking it would hold up everybody behind it at a server."""


class Inflated(RemoteProtocolError):
    """A message would come to more than is taken; it was not unpacked beyond that."""


@cache
def installed() -> tuple[str, ...]:
    """What this process can do."""
    return COMPRESSIONS if find_spec("zstandard") is not None else (ZLIB,)


def check_compression(instance: Any, attribute: Any, name: str) -> None:
    """An attrs validator: `InvalidSetting` for a compression that does not exist, or not here."""
    if name not in ("", *COMPRESSIONS):
        raise InvalidSetting(f"no compression named {name!r}; there are: {', '.join(COMPRESSIONS)}")
    if name and name not in installed():
        raise InvalidSetting("compression zstd needs the package zstandard: pip install 'kato-transport-core[zstd]'")


def named(data: bytes) -> str:
    """How a message is compressed; empty where it is not."""
    if data[:2] in _ZLIB_HEADS:
        return ZLIB
    return ZSTD if data[:4] == _ZSTD_HEAD else ""


def compressed(data: bytes, name: str) -> bytes:
    """The message in the compression of that name; as it was where it is small, gets no smaller, or the name is unknown."""
    if len(data) < LEAST_BYTES or name not in installed():
        return data
    smaller = zlib.compress(data, _FASTEST) if name == ZLIB else _zstandard().ZstdCompressor().compress(data)
    return smaller if len(smaller) < len(data) <= max(EASY_BYTES, MOST_RATIO * len(smaller)) else data


def decompressed(data: bytes, limit: int) -> bytes:
    """The message as its codec wrote it: `DecodeError` where it is damaged, `Inflated` where it is of more than `limit` bytes.

    Little more memory is taken than the limit, whatever comes. What is not compressed comes back as it is.
    """
    name = named(data)
    limit = min(limit, max(EASY_BYTES, MOST_RATIO * len(data)))
    if name == ZLIB:
        return _from_zlib(data, limit)
    return _from_zstd(data, limit) if name == ZSTD else data


def _from_zlib(data: bytes, limit: int) -> bytes:
    inflater, whole, view = zlib.decompressobj(), BytesIO(), memoryview(data)
    fed = 0
    rest: bytes | memoryview = b""
    try:
        while not inflater.eof:
            if not rest:
                rest, fed = view[fed : fed + _CHUNK], fed + _CHUNK
            chunk = inflater.decompress(rest, _CHUNK)
            if not chunk and not rest:
                raise _damaged(ZLIB, data, "it ends too early")
            if whole.tell() + len(chunk) > limit:
                raise _too_large(limit)
            whole.write(chunk)
            rest = inflater.unconsumed_tail
    except zlib.error as exc:
        raise _damaged(ZLIB, data, str(exc)) from exc
    if inflater.unused_data or fed < len(data):
        raise _damaged(ZLIB, data, "something stands behind its end")
    return whole.getvalue()


def _from_zstd(data: bytes, limit: int) -> bytes:
    if ZSTD not in installed():
        raise _damaged(ZSTD, data, "the package zstandard is not installed here")
    zstandard = _zstandard()
    try:
        size = zstandard.frame_content_size(data)
        if size < 1:
            raise _damaged(ZSTD, data, "its frame does not say how large the message is")
        if size > limit:
            raise _too_large(limit)
        whole: bytes = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise _damaged(ZSTD, data, str(exc)) from exc
    return whole


def _zstandard() -> Any:
    import zstandard

    return zstandard


def _damaged(name: str, data: bytes, reason: str) -> DecodeError:
    return DecodeError(name, data[:16], reason, size=len(data))


def _too_large(limit: int) -> Inflated:
    return Inflated(f"a compressed message of more than {limit} bytes, when it is unpacked; max_message_bytes is {limit}")
