"""The documentation says what is there, and all of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kato_transport.cli import cli
from kato_transport.cli.config import setting_rows
from kato_transport.model import ErrorCode
from kato_transport.plugins import registry
from kato_transport_kv_events.metrics import NAMES as METRICS
from kato_transport_kv_events.service.routes import ROUTES

ROOT = Path(__file__).parents[2]
DOCS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text()


def commands_of(group: click.Group) -> set[str]:
    return set(group.list_commands(click.Context(group)))


def test_the_readmes_code_runs_and_prints_what_it_should():
    """Whoever pastes the first block sees three results."""
    block = re.search(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    assert block is not None
    done = subprocess.run([sys.executable, "-c", block[1]], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "3\n7\n[0, 2, 4]\n"), done.stderr


def test_every_setting_is_documented_with_its_default():
    """Each variable of core and of the installed plugins has a row."""
    page = read("docs/settings.md")
    for row in setting_rows():
        assert f"| `{row.variable}` |" in page, row.variable


def test_no_setting_is_documented_that_does_not_exist():
    """The page's rows are settings."""
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", read("docs/settings.md"), re.MULTILINE))
    assert documented == {row.variable for row in setting_rows()}


def test_every_command_is_documented():
    """Each has a section of its own."""
    assert set(re.findall(r"^## `kato-transport (\w+)`", read("docs/commands.md"), re.MULTILINE)) == commands_of(cli)


def test_every_kv_command_and_option_is_documented():
    """Those of the extension, too; the page names what `--help` names."""
    group = cli.get_command(click.Context(cli), "kv")
    page = read("docs/commands.md")
    assert set(re.findall(r"^### `kv (\w+)`", page, re.MULTILINE)) == commands_of(group)
    for name in commands_of(group):
        section = re.search(rf"^### `kv {name}`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)[1]
        params = group.get_command(click.Context(group), name).params
        assert [
            option for param in params if isinstance(param, click.Option) for option in param.opts if option not in section
        ] == []


def test_every_option_of_serve_is_documented():
    """The page names what `--help` names."""
    from kato_transport.cli.serve import command

    page = read("docs/commands.md")
    options = [name for param in command.params for name in param.opts]
    assert [name for name in options if name not in page] == []


def test_every_error_code_is_documented():
    """A peer's author finds each in the wire's table."""
    page = read("docs/wire.md")
    assert [code for code in ErrorCode if f"| `{code}` |" not in page] == []


def test_every_metric_of_kv_events_is_documented():
    """And none that does not exist."""
    documented = re.findall(r"^\| `(kato_kv_\w+)` \|", read("docs/kv-events.md"), re.MULTILINE)
    assert sorted(documented) == sorted(METRICS)


def test_every_route_of_the_index_service_is_documented():
    """With its verb."""
    page = read("docs/kv-events.md")
    assert [route.path for route in ROUTES if f"`{route.verb} {route.path}`" not in page] == []


def test_every_first_party_plugin_is_in_the_readme():
    """What can be selected can be found."""
    codecs = {"msgpack", "json"}
    names = {row.name for row in registry().installed() if row.distribution.startswith("kato-transport-")} - codecs
    assert [name for name in names if f"| `{name}` |" not in read("README.md")] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    """A relative link names a file of the checkout."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_no_page_has_a_placeholder(page: Path):
    """What is not there yet is not promised."""
    assert re.findall(r"\b(TODO|TBD|FIXME|RESULTS)\b", page.read_text()) == []
