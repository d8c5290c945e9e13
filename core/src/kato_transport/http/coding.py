"""Compressed bodies: what HTTP calls the compressions of the wire.

A body says by its first bytes that it is compressed; the header is for whoever else reads HTTP.
"""

from __future__ import annotations

from kato_transport.compression import ZLIB, ZSTD, named

_CODINGS = {ZLIB: "deflate", ZSTD: "zstd"}


def coding_headers(body: bytes) -> dict[str, str]:
    """The headers of a body that tell how it is compressed; none where it is not."""
    name = named(body)
    return {"content-encoding": _CODINGS[name]} if name else {}
