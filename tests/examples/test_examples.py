"""Every example runs to its end by itself and prints what its docstring says."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.testing import EventPublisher, stored

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "kv_router")
"""Those that play by themselves: the router waits for engines, and `kv_routing` plays it."""
SLOW = re.compile("Executing <(Task|Handle).* took [0-9.]+ seconds")
"""What asyncio's debug mode says of a busy machine."""


def promised(example: Path) -> str:
    """What the docstring says after `Prints:`."""
    text = ast.get_docstring(ast.parse(example.read_text())) or ""
    _, heading, output = text.partition("Prints:\n\n")
    assert heading, f"{example.name}: its docstring does not say what it prints"
    return textwrap.dedent(output) + "\n"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_does_what_it_says(example: Path, tmp_path: Path):
    """No argument, no input, no warning, nothing on stderr."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("KATO_")}
    command = [sys.executable, "-X", "dev", "-W", "error", str(example)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=20, check=False)
    said = [line for line in done.stderr.splitlines() if not SLOW.match(line)]
    assert (done.returncode, said, done.stdout) == (0, [], promised(example))


def test_there_are_examples():
    """The glob above finds them."""
    assert {"asyncio_client", "bridge", "echo", "events", "kv_routing", "processor"} <= {example.stem for example in EXAMPLES}


def test_the_router_follows_the_engines_that_it_is_given():
    """Until it is interrupted."""
    with EventPublisher() as engine:
        engine.publish(stored(1, token_ids=range(16), block_size=16))
        command = [sys.executable, str(FOLDER / "kv_router.py"), f"a={engine.endpoint},replay={engine.replay_endpoint},model=m"]
        router = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            with kt.connect(router.stdout.readline().split()[-1]) as gateway:
                prompt = {"token_ids": [*range(20)], "model": "m"}
                until(lambda: gateway.call("route", prompt)["cached_tokens"] == 16, "the engine was not followed")
                assert gateway.call("route", prompt)["pod"] == "a"
                with pytest.raises(kt.RemoteError, match="nobody serves model 'x'"):
                    gateway.call("route", {"token_ids": [*range(20)], "model": "x"})
            router.send_signal(signal.SIGINT)
            assert router.wait(20) == 0
        finally:
            router.kill()
            router.communicate()


def test_the_router_says_what_is_wrong_with_a_source():
    """In a sentence."""
    command = [sys.executable, str(FOLDER / "kv_router.py"), "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("source 'nonsense': it does not begin with POD=ENDPOINT")
