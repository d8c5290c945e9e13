"""The wire: a stream of frames, each a header and a message.

    | size of the message, 4 bytes | number of the call, 8 bytes | message |

The number is the caller's. A server gives it back with the answer, so many calls can be under way on one connection and
be answered in any order, and an answer that comes after its caller has given up meets nobody. What a message is made of is
the codec's affair and that of `kato_transport.wire`.
"""

from __future__ import annotations

import asyncio
import struct
from typing import NamedTuple

HEADER = struct.Struct("!IQ")
CHUNK = 64 * 1024


class Frame(NamedTuple):
    """What was read; `message` is None where it had more bytes than the reader takes."""

    number: int
    size: int
    message: bytes | None


async def read_frame(reader: asyncio.StreamReader, limit: int) -> Frame:
    """The next frame; `EOFError` at the end of the stream.

    A message beyond the limit is read past, not into memory: the stream stays in step, and its reader can say what was
    wrong. So nothing a peer sends makes this side keep more than `limit` bytes, and garbage makes it keep none.
    """
    size, number = HEADER.unpack(await reader.readexactly(HEADER.size))
    if size <= limit:
        return Frame(number, size, await reader.readexactly(size))
    left = size
    while left:
        left -= len(await reader.readexactly(min(left, CHUNK)))
    return Frame(number, size, None)


def write_frame(writer: asyncio.StreamWriter, number: int, message: bytes) -> None:
    """Hand a frame to the connection, which sends it when it can."""
    writer.write(HEADER.pack(len(message), number))
    writer.write(message)
