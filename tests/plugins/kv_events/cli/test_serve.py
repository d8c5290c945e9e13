"""`kato-transport kv serve` and the commands that ask it, as an operator runs them."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.index import Snapshot
from kato_transport_kv_events.testing import removed, stored

FREE = ("--rest-port", "0", "--zmq-port", "0")


@pytest.fixture
def serving(engine, start, source):
    """Follows pod `a`, which has two blocks of four tokens; gives the ready line and the command."""
    publisher = engine()
    publisher.publish(stored(1, 2, token_ids=range(8), block_size=4))
    serve = start("serve", "--source", source(publisher), *FREE)
    ready = serve.line()
    until(lambda: _sources(ready)[0]["state"] == "exact", "the source did not become exact")
    return ready, serve


def _sources(ready):
    with kt.connect(ready["zmq"]) as client:
        return client.call("kv.sources")["sources"]


def test_the_ready_line_names_endpoints_that_answer(serving):
    """The same line as that of `serve`; port 0 becomes a real port, for both."""
    ready, serve = serving
    assert ready["ready"] is True
    assert ready["transport"] == "improved"
    assert ready["pid"] == serve.process.pid
    with kt.connect(ready["zmq"]) as client:
        assert client.call("kv.match", {"token_ids": list(range(8))})["pods"][0]["blocks"] == 2
    with urllib.request.urlopen(f"{ready['rest']}/readyz", timeout=10) as answer:
        assert json.load(answer) == {"status": "okay"}
    with urllib.request.urlopen(f"{ready['rest']}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert "\nkato_kv_index_blocks 2.0\n" in text
    assert "\nkato_kv_matched_blocks_count 1.0\n" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(serving, number):
    """It drains, and says so in the log."""
    status, out, log = serving[1].end(number)
    assert (status, out) == (0, "")
    assert "draining" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("where", ["rest", "zmq"])
def test_sources_are_printed_a_line_each(serving, run, where):
    """Over HTTP and over the request transport alike."""
    result = run("sources", "--endpoint", serving[0][where])
    (line,) = map(json.loads, result.stdout.splitlines())
    assert (line["pod"], line["state"], line["events_processed"]["BlockStored"]) == ("a", "exact", 1)


@pytest.mark.parametrize("where", ["rest", "zmq"])
@pytest.mark.parametrize("written", ["[0, 1, 2, 3, 9]", "0 1 2 3\n9\n"])
def test_a_prompt_is_matched(serving, run, where, written):
    """Its tokens from standard input, as JSON or as numbers."""
    result = run("match", "--endpoint", serving[0][where], "--tokens", "-", stdin=written.encode())
    answer = json.loads(result.stdout)
    assert (answer["block_size"], answer["blocks"]) == (4, 1)
    assert [(pod["pod"], pod["blocks"], pod["by_medium"]) for pod in answer["pods"]] == [("a", 1, {"GPU": 1})]


def test_both_ways_give_the_same_answers(serving, run):
    """To the letter; what request transports say of success, HTTP says by its status."""
    for query in (("sources",), ("match", "--tokens", "-")):
        over = [run(*query, "--endpoint", serving[0][where], stdin=b"[0, 1, 2, 3]") for where in ("rest", "zmq")]
        answers = [json.loads(result.stdout) for result in over]
        assert answers[0].keys() == answers[1].keys()
        assert "status" not in answers[0]


def test_an_adapter_is_named_by_its_id(engine, start, source, run):
    """As engines do that are too old to tell its name."""
    publisher = engine("vllm-0.10.1")
    publisher.publish(stored(1, token_ids=range(4), block_size=4, lora_id=7))
    publisher.publish(stored(2, token_ids=range(4), block_size=4, lora_id=8))
    ready = start("serve", "--source", source(publisher), *FREE).line()
    until(lambda: _sources(ready)[0]["state"] == "exact", "the source did not become exact")

    def found(*adapter):
        result = run("match", "--endpoint", ready["rest"], "--tokens", "-", *adapter, stdin=b"0 1 2 3")
        return [pod["blocks"] for pod in json.loads(result.stdout)["pods"]]

    assert (found("--lora-id", "7"), found("--lora-id", "9"), found(), found("--lora-name", "7")) == ([1], [], [], [])


@pytest.mark.parametrize("given", [("--lora-id", "7", "--lora-name", "x"), ("--lora-id", "x"), ("--lora-id", "0")])
def test_an_adapter_has_a_name_or_an_id(run, given):
    """Whatever else is a usage error."""
    result = run("match", "--endpoint", "http://127.0.0.1:1", "--tokens", "-", *given, stdin=b"0")
    assert (result.exit_code, "--lora-id" in result.stderr) == (2, True)


def test_people_get_tables(serving, run, monkeypatch):
    """In a terminal, unless they want JSON."""
    monkeypatch.setattr("kato_transport_kv_events.cli.match.wants_json", lambda as_lines: as_lines)
    monkeypatch.setattr("kato_transport_kv_events.cli.sources.wants_json", lambda as_lines: as_lines)
    endpoint = ("--endpoint", serving[0]["rest"])
    matched = run("match", *endpoint, "--tokens", "-", stdin=b"[0, 1, 2, 3]").stdout.splitlines()
    assert matched[0] == "1 blocks of 4 tokens"
    assert matched[2].split() == ["a", "0", "1", "GPU", "1", "exact"]
    assert run("sources", *endpoint).stdout.splitlines()[1].startswith("a ")
    assert json.loads(run("sources", *endpoint, "--json").stdout)["pod"] == "a"


@pytest.mark.parametrize("written", [b"", b"hello", b"[1, true]", b"[1.5]", b'{"a": 1}', b"[" * 100_000])
def test_tokens_that_are_none_are_a_usage_error(run, written):
    """An empty prompt is one of no tokens."""
    result = run("match", "--endpoint", "http://127.0.0.1:1", "--tokens", "-", stdin=written)
    assert result.exit_code == (1 if written == b"" else 2)
    assert "Traceback" not in result.stderr


def test_nobody_there_is_an_error_that_names_the_endpoint(run):
    """Status 1."""
    for endpoint in ("http://127.0.0.1:1", "tcp://127.0.0.1:1"):
        result = run("sources", "--endpoint", endpoint, "--timeout", "3")
        assert result.exit_code == 1
        assert endpoint in result.stderr


def test_somebody_else_there_is_an_error_that_says_so(run):
    """A server of other methods, over the request transport and over HTTP."""
    with kt.serve({}, "tcp://127.0.0.1:0") as other:
        result = run("sources", "--endpoint", other.endpoint)
        assert (result.exit_code, "Unknown method: kv.sources" in result.stderr) == (1, True)
    with kt.serve({}, "http://127.0.0.1:0", transport="rest") as other:
        result = run("sources", "--endpoint", other.endpoint)
        assert (result.exit_code, "nothing is at /kv/sources" in result.stderr) == (1, True)


def test_what_happens_to_sources_is_told_after_the_ready_line(engine, start, source):
    """With `--json`; events are not."""
    publisher = engine()
    serve = start("serve", "--json", "--source", source(publisher), *FREE)
    assert serve.line()["ready"] is True
    serve.line(type="state", state="exact")
    publisher.publish(stored(1))
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    assert serve.line(type="gap")["batches"] == 1
    status, out, _ = serve.end(signal.SIGTERM)
    assert status == 0
    assert "BlockStored" not in out


def test_sources_are_discovered(engine, start, source, run, tmp_path):
    """In a file, which is read again when it changes; its metrics are told."""
    file = tmp_path / "sources"
    file.write_text("")
    serve = start("serve", "--discover", f"file:{file}?interval=0.05", *FREE)
    ready = serve.line()
    assert _sources(ready) == []
    file.write_text(source(engine(), "found"))
    until(lambda: [found["pod"] for found in _sources(ready)] == ["found"], "the source was not found")
    with urllib.request.urlopen(f"{ready['rest']}/metrics", timeout=10) as answer:
        assert f'kato_kv_discovery_sources_followed{{discovery="file:{file}?interval=0.05"}} 1.0' in answer.read().decode()


def test_an_index_survives_its_service(engine, start, source, run, tmp_path):
    """Kept in a file, saved on request and at the end; the next one begins with it, and the engine confirms it."""
    publisher, file = engine(buffer_steps=1), tmp_path / "index"

    def store(number):
        ids = range(16 * number, 16 * number + 16)
        publisher.publish(stored(number, parent_block_hash=number - 1 if number else None, token_ids=ids, block_size=16))

    store(0)
    store(1)
    first = start("serve", "--source", source(publisher), "--snapshot", file, "--snapshot-interval", "0", *FREE)
    ready = first.line()
    until(lambda: _sources(ready)[0]["state"] == "partial", "the source did not become partial")
    for number in (0, 2):
        store(number)
    until(lambda: _sources(ready)[0]["last_sequence"] == 3, "the blocks did not come")
    saved = json.loads(run("snapshot", "--endpoint", ready["rest"]).stdout)
    assert (saved["path"], saved["bytes"]) == (str(file), file.stat().st_size)
    first.end(signal.SIGTERM)
    again = start("serve", "--source", source(publisher), "--snapshot", file, *FREE)
    ready = again.line()
    until(lambda: _sources(ready)[0]["state"] == "partial", "the source was not confirmed")
    with kt.connect(ready["zmq"]) as client:
        assert client.call("kv.match", {"token_ids": list(range(48))})["pods"][0]["blocks"] == 3


@pytest.mark.parametrize("where", ["rest", "zmq"])
def test_a_snapshot_is_fetched_into_a_file(serving, run, where, tmp_path):
    """Which another service may begin with."""
    file = tmp_path / "fetched"
    told = json.loads(run("snapshot", "--endpoint", serving[0][where], "--output", file).stdout)
    assert told == {"path": str(file), "bytes": file.stat().st_size}
    assert Snapshot.load(file).checkpoints.keys() == {("a", 0)}


@pytest.mark.parametrize("where", ["rest", "zmq"])
def test_a_service_without_a_file_says_so(serving, run, where):
    """Status 1."""
    result = run("snapshot", "--endpoint", serving[0][where])
    assert (result.exit_code, "in no file" in result.stderr) == (1, True)


def test_a_snapshot_that_cannot_be_written_here_is_an_error(serving, run, tmp_path):
    """That names the path."""
    path = tmp_path / "no" / "folder"
    result = run("snapshot", "--endpoint", serving[0]["rest"], "--output", path)
    assert (result.exit_code, str(path) in result.stderr) == (1, True)


def test_a_port_in_use_is_an_error_that_names_it(start, engine, source):
    """No traceback, status 1, and no process that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for ports in (("--rest-port", port, "--zmq-port", "0"), ("--rest-port", "0", "--zmq-port", port)):
            status, out, log = start("serve", "--source", source(engine()), *ports).wait()
            assert (status, out) == (1, "")
            assert f"127.0.0.1:{port}" in log
            assert "Traceback" not in log


def test_a_silent_engine_is_stale_where_it_was_asked_for(engine, start, source):
    """After so many seconds; by default never."""
    ready = start("serve", "--source", source(engine(replay_endpoint=None)), "--silence-limit", "0.2", *FREE).line()
    until(lambda: _sources(ready)[0]["state"] == "stale", "the silence was not noticed")


@pytest.mark.parametrize(("counting", "left"), [("copies", 1), ("set", 0)])
def test_what_is_stored_again_is_counted_as_asked(engine, start, source, counting, left):
    """Stored twice and removed once, a copy is left, or it was one block all the time."""
    publisher = engine()
    for event in (stored(1, token_ids=range(4), block_size=4),) * 2 + (removed(1),):
        publisher.publish(event)
    ready = start("serve", "--source", source(publisher), "--counting", counting, *FREE).line()
    until(lambda: _sources(ready)[0]["state"] == "exact", "the source did not become exact")
    with kt.connect(ready["zmq"]) as client:
        assert len(client.call("kv.match", {"token_ids": list(range(4))})["pods"]) == left


def test_an_index_is_as_large_as_it_may_be(engine, start, source):
    """What makes it larger is given up, and the source has not all of it any more."""
    publisher = engine()
    publisher.publish(stored(*range(64), token_ids=range(64 * 4), block_size=4))
    ready = start("serve", "--source", source(publisher), "--max-blocks", "8", *FREE).line()
    until(lambda: _sources(ready)[0]["state"] == "partial", "the index was not bounded")


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--counting", ["blocks"]),
        ("--max-blocks", ["0", "many"]),
        ("--silence-limit", ["-1", "inf", "nan", "long"]),
        ("--snapshot-interval", ["-1", "inf", "nan", "1e300", "long"]),
    ],
)
def test_settings_that_cannot_be_are_usage_errors(run, option, values):
    """Status 2, and the option's name."""
    for value in values:
        result = run("serve", "--source", "a=tcp://127.0.0.1:9", option, value)
        assert (result.exit_code, option in result.stderr) == (2, True)


def test_a_query_waits_for_a_time_that_can_be(run):
    """Any other is a usage error."""
    for value in ("0", "-1", "inf", "nan", "long"):
        result = run("sources", "--endpoint", "http://127.0.0.1:1", "--timeout", value)
        assert (result.exit_code, "--timeout" in result.stderr) == (2, True)


def test_a_start_that_fails_leaves_the_index_of_whoever_runs(engine, start, source, run, tmp_path):
    """Both have the same file, and only one has the port."""
    publisher, file = engine(), tmp_path / "index"
    follows = ("--source", source(publisher), "--snapshot", file)
    publisher.publish(stored(1, token_ids=range(4), block_size=4))
    ready = start("serve", *follows, *FREE).line()
    until(lambda: _sources(ready)[0]["state"] == "exact", "the source did not become exact")
    run("snapshot", "--endpoint", ready["rest"])
    before = file.read_bytes()
    port = ready["rest"].rpartition(":")[2]
    assert start("serve", *follows, "--rest-port", port, "--zmq-port", "0").wait()[0] == 1
    assert file.read_bytes() == before


def test_http_alone_will_do_where_there_is_no_request_transport(engine, start, source):
    """Unless its port was asked for."""
    disabled = {"KATO_TRANSPORT_DISABLED_PLUGINS": "improved"}
    serve = start("serve", "--source", source(engine()), "--rest-port", "0", **disabled)
    ready = serve.line()
    assert (ready["transport"], ready["zmq"]) == (None, None)
    status, _, log = start("serve", "--source", source(engine()), *FREE, **disabled).wait()
    assert (status, "improved" in log) == (1, True)
