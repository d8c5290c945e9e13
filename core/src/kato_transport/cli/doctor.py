"""`kato-transport doctor`: looks at everything that usually goes wrong, and says how to mend what did."""

from __future__ import annotations

import platform
import socket
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from attrs import asdict, frozen

import kato_transport as kt
from kato_transport.cli.output import as_json
from kato_transport.cli.plugins import DISABLED, plugin_rows
from kato_transport.endpoints import scratch_endpoint
from kato_transport.settings import Settings, describe

LIBRARIES = ("pyzmq", "msgpack", "pluggy", "attrs", "tenacity", "click", "starlette", "httptools")
ROUND_TRIPS = 100


@frozen
class Finding:
    """One thing that was looked at."""

    topic: str
    ok: bool
    text: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Everything, in the order in which one thing stands on the other; stops where the settings cannot be read."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("libraries", True, ", ".join(_versions()))
    try:
        settings = Settings.from_env()
    except kt.InvalidSetting as exc:
        yield Finding("settings", False, str(exc), "correct or unset the variable; `kato-transport config` lists them all")
        return
    changed = [f"{row.variable}={row.value}" for row in describe(Settings) if row.origin == "environment"]
    yield Finding("settings", True, ", ".join(changed) or "all at their defaults")
    yield from _plugins()
    yield from _port("ZMQ_PORT", settings.zmq_port)
    yield from _port("REST_PORT", settings.rest_port)
    yield _round_trip(settings)


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    try:
        import zmq
    except ImportError:
        return
    yield f"libzmq {zmq.zmq_version()}"


def _plugins() -> Iterator[Finding]:
    for row in plugin_rows():
        usable = row.status in ("ok", DISABLED)
        text = f"{row.distribution} {row.version}" if row.status == "ok" else row.status
        fix = "" if usable else f"reinstall {row.distribution}, or name it in KATO_TRANSPORT_DISABLED_PLUGINS"
        yield Finding(f"plugin {row.name}", usable, text, fix)


def _port(variable: str, port: int) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            fix = f"a server may be running there already; else set {variable} to a free port, or to 0 for any"
            yield Finding(f"port {port}", False, f"{variable}: {exc.strerror}", fix)
        else:
            yield Finding(f"port {port}", True, f"{variable}: free")


def _round_trip(settings: Settings) -> Finding:
    """A server and a client of the selected transport, over an endpoint of their own."""
    topic = f"transport {settings.transport}"
    try:
        transport = kt.registry().transport(settings.transport)
        with (
            tempfile.TemporaryDirectory() as folder,
            kt.serve({}, scratch_endpoint(transport, Path(folder)), transport=transport.name) as server,
            kt.connect(server.endpoint, transport=transport.name) as client,
        ):
            client.call("ping")
            started = time.perf_counter()
            for _ in range(ROUND_TRIPS):
                client.call("ping")
            each_us = (time.perf_counter() - started) / ROUND_TRIPS * 1e6
    except kt.TransportError as exc:
        fix = " ".join(getattr(exc, "__notes__", [])) or "see the plugins above, or select another by KATO_ZMQ_IMPLEMENTATION"
        return Finding(topic, False, str(exc), fix)
    return Finding(topic, True, f"{ROUND_TRIPS} round trips over {server.endpoint}, {each_us:.0f} µs each")


@click.command()
@click.option("--json", "json_output", is_flag=True, help="One JSON object per finding and line.")
@click.pass_context
def command(ctx: click.Context, json_output: bool) -> None:
    """Check settings, plugins, ports and a round trip; exit status 1 where something is wrong."""
    healthy = True
    for finding in examine():
        healthy = healthy and finding.ok
        click.echo(as_json(asdict(finding)) if json_output else _line(finding))
    ctx.exit(0 if healthy else 1)


def _line(finding: Finding) -> str:
    mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
    fix = f"\n      fix: {finding.fix}" if finding.fix else ""
    return f"{mark}  {finding.topic}: {finding.text}{fix}"
