"""The scene that `kato-transport demo` shows of KV-cache events, with an engine that really is killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from kato_transport_kv_events.demo import engine, scene
from kato_transport_kv_events.demo.engine import BLOCK_TOKENS, prompt
from kato_transport_kv_events.demo.scene import Engine, EventStream


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_engine_that_is_killed_is_stale_and_exact_again_once_it_is_back():
    """And what it lost on the way was asked for again."""
    held, lost, killed, back, again = EventStream().lines()
    assert held == "engine-0 holds all 32 blocks of a prompt, and that is exact"
    assert int(re.search(r"batches (\d+) were lost", lost)[1]) >= 3
    assert killed.endswith("what it held is answered as stale")
    assert "with an empty cache: noticed" in back
    assert again == "engine-0 holds all 32 blocks of its next prompt, and that is exact"


def test_a_scene_that_is_ended_early_leaves_no_engine_behind(monkeypatch):
    """As when its reader has gone."""
    pids = []

    class Noted(Engine):
        def start(self):
            super().start()
            pids.append(self.pid)

    monkeypatch.setattr(scene, "Engine", Noted)
    lines = EventStream().lines()
    next(lines)
    assert list(map(is_there, pids)) == [True]
    lines.close()
    assert list(map(is_there, pids)) == [False]


def test_an_engine_ends_with_whoever_started_it():
    """It reads of that at its input."""
    command = [sys.executable, "-m", engine.__name__, "1"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 2


def test_each_life_has_another_prompt():
    """So that nothing of one is taken for something of another."""
    assert not set(prompt(1, 1000)) & set(prompt(2, 1000))
    assert len(prompt(1, 3)) == 3 * BLOCK_TOKENS
