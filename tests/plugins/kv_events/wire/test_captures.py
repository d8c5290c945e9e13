"""Every version's recorded frames come out as an independent decoder read them."""

from __future__ import annotations

import pytest

from kato_transport.events import Origin
from kato_transport_kv_events.wire import decode_batch

from .. import recorded
from . import plain


def read(payload, sequence):
    return decode_batch(payload, pod="pod", sequence=sequence, model="m", topic="t", rank=7)


def origin(sequence, timestamp_s, rank):
    rank = 7 if rank is None else rank
    return Origin(pod="pod", sequence=sequence, timestamp_s=timestamp_s, rank=rank, model="m", topic="t")


@pytest.mark.parametrize("folder", recorded.FOLDERS)
def test_live_batches_come_out_as_expected(folder):
    """Every field of every event, and nothing is skipped."""
    expected = recorded.expected(folder)["live"]
    for name, messages in recorded.live(folder).items():
        assert len(messages) == len(expected[name]) > 0
        for message, batch in zip(messages, expected[name], strict=True):
            decoded = read(message.payload, message.sequence)
            source = origin(batch["seq"], batch["ts"], batch["dp_rank"])
            assert (decoded.timestamp_s, decoded.rank, decoded.skipped) == (batch["ts"], batch["dp_rank"], ())
            assert decoded.events == tuple(plain.as_event(event, source) for event in batch["events"])


@pytest.mark.parametrize("folder", recorded.FOLDERS)
def test_replayed_batches_come_out_as_recorded(folder):
    """Framed with a topic or without, up to the end marker."""
    expected = recorded.expected(folder)["replay"]
    for name, replay in recorded.replays(folder).items():
        answers = [(int.from_bytes(frames[-2], "big", signed=True), frames[-1]) for frames in replay.replies]
        assert [sequence for sequence, _ in answers] == [reply["seq"] for reply in expected[name]["replies"]]
        assert answers.pop() == (-1, b"")
        for sequence, payload in answers:
            decoded = read(payload, sequence)
            source = origin(sequence, decoded.timestamp_s, decoded.rank)
            assert decoded.skipped == ()
            assert list(decoded.events) == plain.decode(payload, source)


def test_no_real_batch_needs_the_tolerant_way(monkeypatch):
    """Which would cost several times as much, and nobody would notice."""
    monkeypatch.setattr("kato_transport_kv_events.wire.decode.decode_tolerantly", None)
    assert all(decode_batch(payload).events for payload in recorded.payloads())


def test_every_dialect_is_among_the_captures():
    """Both encodings, every number of fields that arrays ever had, and all three kinds of hashes."""
    batches = [batch for folder in recorded.FOLDERS for live in recorded.expected(folder)["live"].values() for batch in live]
    events = [event for batch in batches for event in batch["events"]]
    assert {batch["batch_array_len"] for batch in batches} == {2, 3}
    assert {event.get("array_len") for event in events if event["type"] == "BlockStored"} == {None, 6, 7, 10, 12}
    hashes = [value for event in events for value in event.get("block_hashes", ())]
    assert {type(value) for value in hashes} == {int, bytes}
    assert min(value for value in hashes if isinstance(value, int)) < 0
    assert max(value for value in hashes if isinstance(value, int)) > 2**63
