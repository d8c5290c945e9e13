"""docs/plugin-authors.md says what is there: every hook, and the example's own code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kato_transport import errors, hookspecs
from kato_transport.model import Capability

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third_party_transport"
PAGE = (ROOT / "docs" / "plugin-authors.md").read_text()
BLOCKS = {
    "pyproject.toml": "pyproject.toml",
    "The module": "src/acme_kato_unix/__init__.py",
    "The test": "tests/test_conformance.py",
}
"""Heading to the file that its first block is taken from."""


def signatures() -> dict[str, str]:
    """Each hook's name and signature, as hookspecs.py writes them."""
    functions = [node for node in ast.parse(Path(hookspecs.__file__).read_text()).body if isinstance(node, ast.FunctionDef)]
    return {f.name: f"{f.name}({ast.unparse(f.args)}) -> {ast.unparse(f.returns)}" for f in functions if f.returns}


def first_block(heading: str) -> str:
    section = re.search(rf"^## `?{re.escape(heading)}`?\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    block = re.search(r"```(?:toml|python)\n(.*?)```", section[1], re.DOTALL)
    assert block, heading
    return block[1]


@pytest.mark.parametrize("hook", signatures())
def test_every_hook_is_documented_with_its_signature(hook: str):
    """As an item of its own, exactly as hookspecs.py has it."""
    assert f"\n- `{signatures()[hook]}`:\n" in PAGE


def test_no_hook_is_documented_that_does_not_exist():
    """Whoever follows the page gets no `unknown hook`."""
    documented = set(re.findall(r"kato_register_\w+", PAGE)) - {"kato_register_transport"}  # the page's own misspelling
    assert documented == set(signatures())


@pytest.mark.parametrize("heading", BLOCKS)
def test_the_pages_code_is_the_examples(heading: str):
    """So that it is code that was run."""
    assert first_block(heading) in (EXAMPLE / BLOCKS[heading]).read_text()


def test_the_pages_tree_is_the_examples():
    """Every file of it is there, and none is missing."""
    tree = re.search(r"^acme-kato-unix/\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    assert tree is not None
    shown = {line.split()[0] for line in tree[1].splitlines() if not line.split()[0].endswith("/")}
    found = {path.name for path in EXAMPLE.rglob("*") if path.is_file() and path.suffix in (".py", ".toml", ".md", ".typed")}
    assert shown == found


def test_every_capability_is_documented():
    """Each flag has a row."""
    assert [flag.name for flag in Capability if flag and f"| `{flag.name}` |" not in PAGE] == []


def test_every_error_it_names_exists():
    """The table's first column holds classes of `kato_transport.errors`."""
    table = re.search(r"^\| raise \|.*?(?=\n\n)", PAGE, re.MULTILINE | re.DOTALL)
    assert table is not None
    names = re.findall(r"^\| `(\w+)` \|", table[0], re.MULTILINE)
    assert names
    assert [name for name in names if not hasattr(errors, name)] == []


def test_registering_without_installing_works_as_shown():
    """The page's last block runs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", first_block("Without installing")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "serving memory://here\npong\n")
