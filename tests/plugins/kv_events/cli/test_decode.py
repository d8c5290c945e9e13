"""`kato-transport kv decode`: what was recorded, as an independent decoder read it."""

from __future__ import annotations

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_transport_kv_events.cli.recordings import Recorded, read_recording

from .. import recorded

NOT_OURS = {"array_len"}
"""What the independent decoder adds."""


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def payload(*events, ts=1.5, rank=0):
    return msgpack.packb([ts, list(events), rank])


def stored(*hashes, **fields):
    return {"type": "BlockStored", "block_hashes": list(hashes), "token_ids": [], "block_size": 16, **fields}


def expected_lines(batches):
    """What `expected.json` says of live batches, in the shape of our lines; fields that were not sent are left out."""
    for batch in batches:
        rank = 0 if batch["dp_rank"] is None else batch["dp_rank"]
        head = {"sequence": batch["seq"], "rank": rank, "topic": batch["topic"], "ts": batch["ts"]}
        for event in batch["events"]:
            yield {**head, **{name: value for name, value in event.items() if name not in NOT_OURS and value is not None}}


def as_hex(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [as_hex(item) for item in value]
    return value


@pytest.mark.parametrize("folder", recorded.FOLDERS)
def test_live_recordings_come_out_as_expected(run, folder):
    """Every event of every version, each field under its wire name, bytes as hex."""
    for name, batches in recorded.expected(folder)["live"].items():
        result = run("decode", recorded.CAPTURES / folder / name)
        assert (result.exit_code, result.stderr) == (0, "")
        expected = list(expected_lines(batches))
        found = lines(result)
        assert len(found) == len(expected) > 0
        for line, event in zip(found, expected, strict=True):
            assert {key: line[key] for key in event} == {key: as_hex(value) for key, value in event.items()}
            assert {line[key] for key in line.keys() - event.keys() if key != "token_ids"} <= {None, "GPU"}


@pytest.mark.parametrize("folder", recorded.FOLDERS)
def test_recorded_replays_come_out_up_to_the_end_marker(run, folder):
    """With the topic where the version sends one, null where it does not."""
    for name, replay in recorded.expected(folder)["replay"].items():
        result = run("decode", recorded.CAPTURES / folder / name)
        assert (result.exit_code, result.stderr) == (0, "")
        replies = {reply["seq"]: reply for reply in replay["replies"]}
        found = lines(result)
        assert {line["sequence"] for line in found} == replies.keys() - {-1}
        assert all(line["topic"] == replies[line["sequence"]].get("topic") for line in found)


def test_a_payload_by_itself_has_no_sequence_and_no_topic(run):
    """From standard input, too; a rank that is not sent is 0."""
    result = run("decode", "-", stdin=payload(stored(1, b"\1" * 16), rank=None))
    (line,) = lines(result)
    assert result.exit_code == 0
    assert (line["sequence"], line["topic"], line["rank"], line["ts"]) == (None, None, 0, 1.5)
    assert line["block_hashes"] == [1, {"hex": "01" * 16}]


def test_bigrams_are_pairs(run):
    """As SGLang with EAGLE sends them."""
    (line,) = lines(run("decode", "-", stdin=payload(stored(1, token_ids=[[1, 2], [2, 3]]))))
    assert line["token_ids"] == [[1, 2], [2, 3]]


def test_a_batch_that_cannot_be_read_is_told_and_the_rest_printed(run, tmp_path):
    """Status 1; the message names the file and the batch."""
    file = tmp_path / "live.msgpack"
    file.write_bytes(msgpack.packb([[b"t", 7, payload(stored(1))], [b"t", 8, b"\xc1"], [b"t", 9, payload(stored(2))]]))
    result = run("decode", file)
    assert result.exit_code == 1
    assert [line["sequence"] for line in lines(result)] == [7, 9]
    assert result.stderr.startswith(f"{file}: batch 8: not kv-events: not_msgpack")
    assert result.stderr.count("\n") == 1


def test_a_file_that_cannot_be_read_costs_no_other(run, tmp_path):
    """Missing, a folder, garbage: each has its line on stderr."""
    garbage, good = tmp_path / "garbage", tmp_path / "good"
    garbage.write_bytes(b"hello")
    good.write_bytes(payload(stored(1)))
    result = run("decode", tmp_path / "missing", tmp_path, garbage, good)
    assert result.exit_code == 1
    assert [line["block_hashes"] for line in lines(result)] == [[1]]
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        str(tmp_path / "missing"),
        str(tmp_path),
        str(garbage),
    ]


def test_an_event_of_an_unknown_type_is_told_and_is_no_failure(run):
    """New ones will come."""
    result = run("decode", "-", stdin=payload(stored(1), {"type": "BlockMoved"}, stored(2)))
    assert result.exit_code == 0
    assert [line["block_hashes"] for line in lines(result)] == [[1], [2]]
    assert "1 skipped, of unknown types, after 1 events" in result.stderr


@pytest.mark.parametrize("bad", [stored(1, block_size="x"), stored("text"), stored(1, token_ids=["a"]), 7])
def test_a_malformed_event_is_a_failure_and_the_rest_is_printed(run, bad):
    """Whether its own fields are wrong, or what its tokens turn out to be."""
    result = run("decode", "-", stdin=payload(stored(1), bad, stored(2)))
    assert result.exit_code == 1
    assert [line["block_hashes"] for line in lines(result)] == [[1], [2]]
    assert result.stderr.startswith("-: ")


@pytest.mark.parametrize(
    "data", [b"", b"\x90", b"\x91\x93\xc4\x00\x00", b"\x92\x90\x91\x91\xc4\x00", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000]
)
def test_hostile_files_give_no_traceback(run, data):
    """Empty, truncated, huge-length-prefixed, deeply nested; an empty list is a recording of nothing."""
    result = run("decode", "-", stdin=data)
    assert result.exit_code == (0 if data == b"\x90" else 1)
    assert result.stdout == ""


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers(-(2**63), 2**64 - 1) | st.binary(), st.lists).map(msgpack.packb)
)
def test_whatever_a_file_holds_it_is_batches(data):
    """Of a recording, or one of unknown shape, for its decoder to complain of."""
    found = read_recording(data)
    assert all(isinstance(batch.payload, bytes) for batch in found)
    assert found in ([], [Recorded(None, None, data)]) or msgpack.unpackb(data)


def test_decode_without_files_is_a_usage_error(run):
    """Status 2."""
    assert run("decode").exit_code == 2
