"""A group whose commands live in modules of their names, each imported when its command is run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """`COMMANDS` of its package, name to one line of help, so that `--help` imports no command; each module has a `command`."""

    def __init__(self, *args: Any, package: str, lazy: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._package = package
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._lazy:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.help_line(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def help_line(self, name: str) -> str:
        """What the list of commands says of one."""
        return self._lazy[name]
