"""`kato-transport plugins`: what is installed, what it promises, what is selected, and why one is broken."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from attrs import asdict, frozen

from kato_transport.cli.output import as_json, print_table
from kato_transport.errors import PluginBroken, PluginDisabled
from kato_transport.model import Capability
from kato_transport.plugins import ALIASES, EXTENSIONS_GROUP, SELECTED_GROUP, Registry, registry
from kato_transport.settings import Settings
from kato_transport.shelf import Installed

DISABLED = "disabled"


@frozen
class PluginRow:
    """One installed plugin, after an attempt to load it."""

    name: str
    kind: str
    capabilities: list[str]
    distribution: str
    version: str
    selected: bool
    status: str
    """`ok`, `disabled`, or the reason why it cannot be used."""


def plugin_rows() -> list[PluginRow]:
    """Every installed plugin, each loaded by itself so that a broken one spoils no other."""
    selected = Settings.from_env().transport
    selected = ALIASES.get(selected, selected)
    found = [*registry().installed(), *registry().extensions()]
    copies = Counter((row.group, row.name) for row in found)
    return [_row(registry(), row, selected, copies[row.group, row.name]) for row in found]


def _row(plugins: Registry, row: Installed, selected: str, copies: int) -> PluginRow:
    kind, capabilities, status = "extension" if row.group == EXTENSIONS_GROUP else "-", Capability.NONE, "ok"
    try:
        if row.group == SELECTED_GROUP:
            kind, capabilities = _kind(plugins, row.name)
        else:
            plugins.load_extension(row.name)
    except PluginDisabled:
        status = DISABLED
    except PluginBroken as exc:
        status = exc.reason
    names = [str(flag.name) for flag in Capability if flag in capabilities]
    is_selected = kind == "transport" and row.name == selected and copies == 1
    return PluginRow(row.name, kind, names, row.distribution, row.version, is_selected, status)


def _kind(plugins: Registry, name: str) -> tuple[str, Capability]:
    transports = plugins.transports_of(name)
    if transports:
        return "transport", next((t.capabilities for t in transports if t.name == name), transports[0].capabilities)
    if plugins.codecs_of(name):
        return "codec", Capability.NONE
    if plugins.processors_of(name):
        return "processor", Capability.NONE
    raise PluginBroken(name, "it registers neither a transport nor a codec nor a processor")


@click.command()
@click.option("--json", "json_output", is_flag=True, help="One JSON object per plugin and line.")
def command(json_output: bool) -> None:
    """List the installed plugins, what they promise, which transport is selected, and why one is broken."""
    rows = plugin_rows()
    if json_output:
        for row in rows:
            click.echo(as_json(asdict(row)))
    else:
        header = ("name", "kind", "promises", "distribution", "version", "status")
        print_table(header, [_cells(row) for row in rows])


def _cells(row: PluginRow) -> tuple[Any, ...]:
    promises = ", ".join(name.lower().replace("_", "-") for name in row.capabilities) or "-"
    status = "ok, selected" if row.selected else row.status
    return row.name, row.kind, promises, row.distribution, row.version, status
