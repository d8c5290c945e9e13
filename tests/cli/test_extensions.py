"""Commands that extensions add, as a person meets them: each one's own, and none of them takes another's name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

COMMANDS = """
import click
import kato_transport as kt

@kt.hookimpl
def kato_register_commands(cli):
    for name in {names}:
        cli.add_command(click.Command(name, callback=lambda: click.echo("by " + __name__), short_help="Of " + __name__))
"""


@pytest.fixture
def run_with(run, tmp_path: Path):
    """Run a command with extensions installed: `run_with({"first": ["greet"]}, "greet")`."""

    def run_with(extensions: dict[str, list[str]], *arguments: str):
        for name, commands in extensions.items():
            (tmp_path / f"{name}.py").write_text(COMMANDS.format(names=commands))
            info = tmp_path / f"{name}-1.0.dist-info"
            info.mkdir(exist_ok=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[kato_transport.extensions]\n{name} = {name}\n")
        return run(*arguments, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    return run_with


def test_an_extension_adds_its_commands(run_with):
    """Listed with their help, beside the library's own."""
    extensions = {"first": ["greet", "part"]}
    listed = run_with(extensions, "--help").stdout
    assert "  greet " in listed
    assert "  part " in listed
    assert "Of first" in listed
    assert "  serve " in listed
    assert run_with(extensions, "greet").stdout == "by first\n"


def test_of_two_extensions_with_one_command_name_the_second_is_told(run_with):
    """Whose fault it is stands in the log; the first one's command stays, and so does whatever a third one has."""
    extensions = {"first": ["greet"], "second": ["greet"], "third": ["part"]}
    done = run_with(extensions, "greet")
    assert (done.returncode, done.stdout) == (0, "by first\n")
    assert "plugin 'second' cannot be used" in done.stderr
    assert "a command 'greet' is there already" in done.stderr
    assert "Traceback" not in done.stderr
    assert run_with(extensions, "part").stdout == "by third\n"
    listed = run_with(extensions, "--help").stdout
    assert listed.count("  greet ") == 1


def test_no_extension_takes_the_name_of_a_command_of_the_library(run_with):
    """`serve` stays what operators know it as."""
    done = run_with({"first": ["serve", "greet"]}, "--help")
    assert done.returncode == 0
    assert "Run processors behind a transport" in done.stdout
    assert "Of first" not in done.stdout
    assert "a command 'serve' is there already" in done.stderr
