"""From a payload to events: every dialect, and one bad event never costs its batch.

The fast way reads the whole batch as one type, and fails as a whole. Then the tolerant way reads event by event: the same
events, at several times the cost. Whether events are maps or arrays is guessed from the first byte of the first one,
which is where every engine puts it; a wrong guess costs time and nothing else.

Nothing on the wire is believed before it is there: memory stays within 200 bytes for each byte of the payload.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import DecodeError as NotMsgpack
from msgspec import Raw, ValidationError
from msgspec.msgpack import Decoder

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, Origin, from_fields
from kato_transport_kv_events.wire.batch import (
    Batch,
    BatchFault,
    DecodedEvent,
    EventKind,
    Skipped,
    SkipReason,
    UndecodableBatch,
)
from kato_transport_kv_events.wire.structs import AnyBatch, ArrayBatch, ArrayTag, InArray, InMap, MapBatch, MapTag, RawBatch

END_OF_TIME_S: Final = 253_402_300_800
"""The first second of the year 10000, which `datetime` does not have."""
UNREADABLE: Final = (NotMsgpack, ValueError, RecursionError)
"""Schema and syntax; text that is not UTF-8, and extra keys that are none; nesting."""
KINDS: Final[dict[str, EventKind]] = {kind.__name__: kind for kind in (BlockStored, BlockRemoved, AllBlocksCleared)}
MAP_BYTES: Final = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
EVENTS_AT: Final = 10
"""Where the header of the events is: after that of the batch, and nine bytes of ts."""
FIRST_EVENT_AT: Final = {0xDC: EVENTS_AT + 3, 0xDD: EVENTS_AT + 5}

_array_batch: Final = Decoder(ArrayBatch).decode
_map_batch: Final = Decoder(MapBatch).decode
_raw_batch: Final = Decoder(RawBatch).decode
_array: Final = Decoder(InArray).decode
_map: Final = Decoder(InMap).decode
_array_tag: Final = Decoder(ArrayTag).decode
_map_tag: Final = Decoder(MapTag).decode


def decode_batch(payload: bytes, *, pod: str = "", sequence: int = 0, model: str = "", topic: str = "", rank: int = 0) -> Batch:
    """The batch in a payload, its events with an origin; `rank` stands in where the batch names none.

    Raises `UndecodableBatch` where there is no batch in it, and nothing else whatever it holds.
    """
    try:
        batch = _map_batch(payload) if _holds_maps(payload) else _array_batch(payload)
        origin = _origin(batch, payload, pod, sequence, model, topic, rank)
        events = tuple([event.event(origin) for event in batch.events])
    except UNREADABLE:
        return decode_tolerantly(payload, pod=pod, sequence=sequence, model=model, topic=topic, rank=rank)
    return Batch(timestamp_s=batch.ts, rank=batch.rank, events=events)


def decode_tolerantly(payload: bytes, *, pod: str, sequence: int, model: str, topic: str, rank: int) -> Batch:
    """What `decode_batch` does where the fast way fails: reads what can be read, and says what was skipped."""
    batch = _any_batch(payload)
    origin = _origin(batch, payload, pod, sequence, model, topic, rank)
    events: list[DecodedEvent] = []
    skipped: Counter[tuple[int, SkipReason, EventKind | None]] = Counter()
    for raw in batch.events:
        holds_map = memoryview(raw)[0] in MAP_BYTES
        try:
            events.append((_map(raw) if holds_map else _array(raw)).event(origin))
        except UNREADABLE:
            skipped[len(events), *_why(raw, holds_map)] += 1
    return Batch(
        timestamp_s=batch.ts,
        rank=batch.rank,
        events=tuple(events),
        skipped=tuple(
            Skipped(position=position, reason=reason, kind=kind, count=count)
            for (position, reason, kind), count in skipped.items()
        ),
    )


def _holds_maps(payload: bytes) -> bool:
    try:
        return payload[FIRST_EVENT_AT.get(payload[EVENTS_AT], EVENTS_AT + 1)] in MAP_BYTES
    except IndexError:
        return False


def _any_batch(payload: bytes) -> RawBatch:
    try:
        return _raw_batch(payload)
    except ValidationError as exc:
        raise _undecodable(BatchFault.NOT_A_BATCH, payload) from exc
    except (NotMsgpack, ValueError) as exc:
        raise _undecodable(BatchFault.NOT_MSGPACK, payload) from exc
    except RecursionError as exc:
        raise _undecodable(BatchFault.TOO_DEEP, payload) from exc


def _origin(batch: AnyBatch, payload: bytes, pod: str, sequence: int, model: str, topic: str, rank: int) -> Origin:
    if not 0 <= batch.ts < END_OF_TIME_S:
        raise _undecodable(BatchFault.TIMESTAMP, payload)
    if batch.rank is not None:
        rank = batch.rank
    fields = {"pod": pod, "sequence": sequence, "timestamp_s": batch.ts, "rank": rank, "model": model, "topic": topic}
    return from_fields(Origin, fields)


def _why(raw: Raw, holds_map: bool) -> tuple[SkipReason, EventKind | None]:
    try:
        tag = (_map_tag(raw) if holds_map else _array_tag(raw)).type
    except UNREADABLE:
        return SkipReason.MALFORMED, None
    kind = KINDS.get(tag)
    return (SkipReason.UNKNOWN_TAG if kind is None else SkipReason.MALFORMED), kind


def _undecodable(fault: BatchFault, payload: bytes) -> UndecodableBatch:
    return UndecodableBatch(fault, bytes(payload[:16]), len(payload))
