"""The command line in this process, plugins and all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from kato_transport.cli import cli


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a `kv` command to its end: `run("decode", path, stdin=data)`."""

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(cli, ["kv", *map(str, arguments)], input=stdin, catch_exceptions=False)

    return run
