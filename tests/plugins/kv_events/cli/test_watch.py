"""`kato-transport kv watch`: what engines tell, in lines for programs and in a view for people."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess

import pytest

from kato_transport.testing.waiting import until
from kato_transport_kv_events.testing import cleared, stored

from .conftest import KATO_TRANSPORT


@pytest.fixture
def watching(engine, start, source):
    """An engine, and the command that watches it: `watching(**options of the engine)`."""

    def made(**options):
        publisher = engine(**options)
        watch = start("watch", "--source", source(publisher))
        publisher.wait_for_subscribers(timeout_s=30.0)
        return publisher, watch

    return made


def test_events_and_states_are_a_line_each(watching):
    """In the order in which they happen; Ctrl-C ends it with status 0."""
    publisher, watch = watching()
    assert watch.line(type="state")["state"] == "connecting"
    watch.line(type="state", state="exact", pod="a", rank=0)
    publisher.publish(stored(1, b"\2" * 16, token_ids=range(32), block_size=16))
    told = watch.line(type="BlockStored")
    assert (told["pod"], told["rank"], told["sequence"], told["topic"]) == ("a", 0, 0, "")
    assert (told["block_hashes"], told["block_size"], told["medium"]) == ([1, {"hex": "02" * 16}], 16, "GPU")
    publisher.publish(cleared())
    assert watch.line(type="AllBlocksCleared")["sequence"] == 1
    status, _, log = watch.end(signal.SIGINT)
    assert status == 0
    assert "Traceback" not in log


def test_prompts_are_left_out(watching):
    """Whoever reads the lines learns no tokens, salts or extra keys."""
    publisher, watch = watching()
    publisher.publish(stored(1, token_ids=[123456789] * 16, block_size=16, extra_keys=(("secret",),)))
    told = watch.line(type="BlockStored")
    assert not {"token_ids", "extra_keys", "cache_salt", "lookahead_token_ids"} & told.keys()


def test_a_gap_and_its_replay_are_told(watching):
    """With how many batches there were."""
    publisher, watch = watching()
    watch.line(type="state", state="exact")
    publisher.publish(stored(1))
    watch.line(type="BlockStored", block_hashes=[1])
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    found = {}
    while {"gap", "replay"} - found.keys():
        told = watch.line()
        found[told["type"]] = told
    assert (found["gap"]["gaps"], found["gap"]["batches"], found["gap"]["lost"]) == (1, 1, 0)
    assert found["replay"]["answered"] >= 1
    assert found["replay"]["failed"] == 0


def test_what_is_lost_for_good_is_told(watching):
    """And that what was held is given up."""
    publisher, watch = watching(replay_endpoint=None)
    publisher.publish(stored(1))
    watch.line(type="BlockStored")
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    assert (lost := watch.line(type="EventsLost"))["first"] == lost["last"] == 1
    watch.line(type="forgotten")
    assert watch.line(type="gap")["lost"] == 1


def test_a_restart_is_told(watching):
    """As a new generation."""
    publisher, watch = watching()
    publisher.publish(stored(1))
    watch.line(type="BlockStored")
    publisher.restart()
    watch.line(type="forgotten")
    publisher.publish(stored(2))
    assert watch.line(type="BlockStored")["block_hashes"] == [2]


def test_sources_may_stand_in_a_file(engine, start, source, tmp_path):
    """Which is read again when it changes."""
    first, second = engine(), engine()
    file = tmp_path / "sources"
    file.write_text(source(first, "first"))
    watch = start("watch", "--json", "--sources-file", file)
    watch.line(type="state", pod="first", state="exact")
    file.write_text(source(second, "second"))
    watch.line(type="removed", pod="first")
    watch.line(type="state", pod="second", state="exact")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "nothing to follow; give --source, --sources-file or --discover"),
        (("--source", "a"), "it does not begin with POD=ENDPOINT"),
        (("--source", "a=tcp://127.0.0.1:1,rank=x"), "rank: 'x' is no number"),
        (("--source", "a=udp://x"), "udp://x"),
        (("--discover", "carrier:pigeon"), "carrier"),
    ],
)
def test_what_cannot_be_followed_is_a_usage_error(start, arguments, text):
    """Status 2, and what is wrong with it."""
    status, out, log = start("watch", "--json", *arguments).wait()
    assert (status, out) == (2, "")
    assert text in log
    assert "Traceback" not in log


def test_it_ends_when_nobody_reads_it_any_more(engine, source):
    """As behind `| head`, without a word."""
    publisher = engine()
    watch = subprocess.Popen(
        [KATO_TRANSPORT, "kv", "watch", "--source", source(publisher)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert watch.stdout.readline()
        watch.stdout.close()  # its next line may be its last, even before it has subscribed
        until(lambda: publisher.publish(stored(1)) >= 0 and watch.poll() is not None, "it did not end")
        assert watch.returncode == 1
        assert b"Traceback" not in watch.stderr.read()
    finally:
        watch.kill()
        watch.wait()
        watch.stderr.close()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_a_terminal_gets_a_live_view(engine, source):
    """States, speed, gaps, replays and the index's size; Ctrl-C ends it with status 0."""
    publisher = engine()
    for block in range(3):
        publisher.publish(stored(block, token_ids=range(block, block + 16), block_size=16))
    terminal, inside = os.openpty()
    size = {"TERM": "xterm", "COLUMNS": "140", "LINES": "40", "NO_COLOR": "1"}
    command = [KATO_TRANSPORT, "kv", "watch", "--source", source(publisher, "engine-7")]
    watch = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env={**os.environ, **size})
    os.close(inside)
    shown, interrupted = "", False
    try:
        while (text := _read(terminal)) is not None:
            shown += text
            if not interrupted and re.search(r"engine-7 +0 +exact +● +2 ", shown) and "index: 3 blocks" in shown:
                watch.send_signal(signal.SIGINT)
                interrupted = True
        assert interrupted, shown
        assert watch.wait(20) == 0
    finally:
        watch.kill()
        watch.wait()
        os.close(terminal)
    assert "Traceback" not in shown
    assert "events/s" in shown


def _read(terminal: int) -> str | None:
    """What a terminal shows next; None when the other end is closed."""
    select.select([terminal], [], [], 20)
    try:
        data = os.read(terminal, 65536)
    except OSError:
        return None
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(errors="replace")) if data else None
