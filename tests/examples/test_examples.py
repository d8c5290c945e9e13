"""Every example runs to its end by itself and prints what its docstring says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
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
    assert {"asyncio_client", "bridge", "echo", "events", "processor"} <= {example.stem for example in EXAMPLES}
