"""The `kato-transport` command line. Commands are imported when they are run; extensions may add their own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from kato_transport.cli.lazy import LazyGroup
from kato_transport.errors import ConfigurationError, InvalidSetting, TransportError, UnknownPlugin

COMMANDS = {
    "call": "Call a method and print the answer as JSON.",
    "config": "Print every setting with its value, origin and help.",
    "demo": "Show processor, server, gateway and clients, a failure and its recovery, in 15 seconds.",
    "doctor": "Check settings, plugins, ports and a round trip, and say how to mend what is wrong.",
    "plugins": "List the installed plugins, what they promise, and why one is broken.",
    "proxy": "Let many processes share one connection to a ZeroMQ server.",
    "serve": "Run processors behind a transport and the REST gateway until SIGINT or SIGTERM.",
}
"""Name to one line of help, so that `--help` imports no command."""


class Commands(LazyGroup):
    """The library's own commands and those of extensions; errors of this library end it without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *self._extensions()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, name) or self._extensions().get(name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        taken = name or cmd.name
        if taken in COMMANDS or taken in self.commands:
            raise ConfigurationError(f"a command {taken!r} is there already")
        super().add_command(cmd, name)

    def help_line(self, name: str) -> str:
        return COMMANDS.get(name) or self._extensions()[name].get_short_help_str()

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TransportError as exc:
            click.echo(f"Error: {' '.join([str(exc), *getattr(exc, '__notes__', [])])}", err=True)
            ctx.exit(2 if isinstance(exc, (InvalidSetting, UnknownPlugin)) else 1)

    def _extensions(self) -> Mapping[str, click.Command]:
        """The commands of extensions, registered on this very group, once."""
        if not self.commands and not getattr(self, "_extended", False):
            self._extended = True
            from kato_transport.plugins import registry

            registry().add_commands(self)
        return self.commands


@click.group(cls=Commands, package=__name__, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kato-transport-core", prog_name="kato-transport")
def cli() -> None:
    """Request and event transports made of plugins: serve, call and look at them."""


def main() -> None:
    """The console script."""
    try:
        cli()
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        sys.stderr.close()
        sys.exit(1)
