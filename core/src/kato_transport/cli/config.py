"""`kato-transport config`: every setting, core's and the plugins'."""

from __future__ import annotations

from collections.abc import Iterator

import click

from kato_transport.cli.output import as_json, print_table
from kato_transport.plugins import registry
from kato_transport.settings import SettingRow, Settings, describe


def setting_rows() -> Iterator[SettingRow]:
    """Core's settings, then those of every plugin that loads."""
    for cls in (Settings, *registry().settings()):
        yield from describe(cls)


@click.command()
@click.option("--json", "json_output", is_flag=True, help="One JSON object per setting and line.")
def command(json_output: bool) -> None:
    """Print every setting with its value, where the value comes from, and what it does."""
    rows = list(setting_rows())
    if json_output:
        for row in rows:
            click.echo(as_json({"variable": row.variable, "value": row.value, "origin": row.origin, "help": row.help}))
    else:
        print_table(("variable", "value", "origin", "help"), [(r.variable, _shown(r.value), r.origin, r.help) for r in rows])


def _shown(value: object) -> str:
    return "-" if value in ("", {}) else str(value)
