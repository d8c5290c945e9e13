"""`kato-transport demo`: the whole of it in one terminal, with a failure that is not acted.

The server is a process of its own and is killed with SIGKILL while three clients call it; then it comes back on the same
ports and file, and the clients go on, with what was learned still there. Extensions show theirs after that.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import kato_transport as kt
from kato_transport.contracts import DemoScene
from kato_transport.plugins import registry

SONG = ["hello", "darkness", "my", "old", "friend"]
DOWN_S = 1.0
BETWEEN_CALLS_S = 0.02


@click.command()
def command() -> None:
    """Show processor, server, gateway and three clients, a killed server and its recovery, in 15 seconds."""
    scenes = registry().demo_scenes()
    steps = Steps(5 + len(scenes))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "memory.db"
        steps.say("a processor behind ROUTER/DEALER and the REST gateway, learning into one file")
        server, ready = _start(data)
        try:
            _learn(steps, ready["zmq"])
            with _clients(ready) as tallies:
                wait_until(lambda: all(tally["answered"] >= 20 for tally in tallies.values()))
                _tell("three clients at once", tallies)
                server, recovered_s = _kill_and_restart(steps, server, ready, data, tallies)
            _tell(f"all three were answered again {recovered_s * 1000:.0f} ms after the server's return", tallies)
            _show_memory(ready["zmq"])
        finally:
            _stop(server)
    steps.say("SIGTERM: drained and gone")
    for scene in scenes:
        _show(steps, scene)
    click.echo("Next: kato-transport serve, kato-transport plugins, kato-transport doctor")


class Steps:
    """What is said at the beginning of each step, with its number."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._said = 0

    def say(self, text: str) -> None:
        self._said += 1
        click.echo(f"{click.style(f'[{self._said}/{self._count}]', fg='cyan', bold=True)} {text}")


def _show(steps: Steps, scene: DemoScene) -> None:
    steps.say(scene.title)
    for line in scene.lines():
        click.echo(f"      {line}")


def _start(data: Path, zmq_port: str = "0", rest_port: str = "0") -> tuple[subprocess.Popen[str], dict[str, Any]]:
    arguments = ["serve", "--transport", "improved", "--data", str(data), "--zmq-port", zmq_port, "--rest-port", rest_port]
    server = subprocess.Popen([sys.executable, "-m", "kato_transport", *arguments], stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline() if server.stdout else ""
    if not line:
        raise kt.ConnectFailed(f"the server did not start (exit status {server.wait()}); see its message above")
    click.echo(f"      ready line: {line.strip()}")
    ready: dict[str, Any] = json.loads(line)
    return server, ready


def _stop(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=10)
    if server.stdout:
        server.stdout.close()


def _learn(steps: Steps, endpoint: str) -> None:
    with kt.connect(endpoint) as client:
        for number, word in enumerate(SONG):
            client.call("observe", {"strings": [word], "vectors": [], "emotives": {}, "unique_id": f"song-{number}"})
        name = client.call("learn")["model_name"]
        for word in SONG[:2]:
            client.call("observe", {"strings": [word], "vectors": [], "emotives": {}, "unique_id": f"cue-{word}"})
        steps.say(f"learned {' '.join(SONG)!r} as {name[:14]}…; after {' '.join(SONG[:2])!r} it expects {_expected(client)}")


def _expected(client: kt.Client) -> str:
    predictions = client.call("get_predictions")["predictions"]
    return " ".join(symbol for event in predictions[0]["future"] for symbol in event) if predictions else "nothing"


@contextmanager
def _clients(ready: dict[str, Any]) -> Iterator[dict[str, Counter[str]]]:
    """A client for threads, one for asyncio and one for HTTP, each calling until the block ends; what became of its calls."""
    stop = threading.Event()
    tallies: dict[str, Counter[str]] = {"threads": Counter(), "asyncio": Counter(), "http": Counter()}
    targets: list[Callable[[], None]] = [
        lambda: _call_on(ready["zmq"], "improved", tallies["threads"], stop),
        lambda: asyncio.run(_call_on_async(ready["zmq"], tallies["asyncio"], stop)),
        lambda: _call_on(ready["rest"], "rest", tallies["http"], stop),
    ]
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield tallies
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call_on(endpoint: str, transport: str, tally: Counter[str], stop: threading.Event) -> None:
    with kt.connect(endpoint, transport=transport, timeout_s=2.0, connect_timeout_s=0.3) as client:
        while not stop.wait(BETWEEN_CALLS_S):
            with _counted(tally):
                client.call("get_predictions")


async def _call_on_async(endpoint: str, tally: Counter[str], stop: threading.Event) -> None:
    async with kt.aconnect(endpoint, transport="improved", timeout_s=2.0, connect_timeout_s=0.3) as client:
        while not stop.is_set():
            with _counted(tally):
                await client.call("get_predictions")
            await asyncio.sleep(BETWEEN_CALLS_S)


@contextmanager
def _counted(tally: Counter[str]) -> Iterator[None]:
    try:
        yield
        tally["answered"] += 1
    except kt.TransportError as exc:
        tally[type(exc).__name__] += 1


def _kill_and_restart(
    steps: Steps, server: subprocess.Popen[str], ready: dict[str, Any], data: Path, tallies: dict[str, Counter[str]]
) -> tuple[subprocess.Popen[str], float]:
    steps.say(f"kill -9 {server.pid}, and nothing there for {DOWN_S:g} s")
    server.kill()
    server.wait()
    if server.stdout:
        server.stdout.close()
    time.sleep(DOWN_S)
    _tell("every call meanwhile ended in an error that says what happened", tallies)
    steps.say("the same ports, the same file")
    server, _ = _start(data, ready["zmq"].rpartition(":")[2], ready["rest"].rpartition(":")[2])
    returned = time.monotonic()
    before = {name: tally["answered"] for name, tally in tallies.items()}
    wait_until(lambda: all(tally["answered"] > before[name] for name, tally in tallies.items()))
    return server, time.monotonic() - returned


def _show_memory(endpoint: str) -> None:
    with kt.connect(endpoint) as client:
        client.call("clear_stm")
        for word in SONG[1:3]:
            client.call("observe", {"strings": [word], "vectors": [], "emotives": {}, "unique_id": f"again-{word}"})
        click.echo(f"      nothing forgotten: after {' '.join(SONG[1:3])!r} it expects {_expected(client)!r}")


def wait_until(condition: Callable[[], bool], at_most_s: float = 10.0) -> None:
    """Wait for what is to be shown; `ConnectionLost` where it does not happen."""
    deadline = time.monotonic() + at_most_s
    while not condition():
        if time.monotonic() > deadline:
            raise kt.ConnectionLost(f"the demonstration did not get on within {at_most_s:g} s")
        time.sleep(BETWEEN_CALLS_S)


def _tell(text: str, tallies: dict[str, Counter[str]]) -> None:
    shown = "; ".join(f"{name}: " + ", ".join(f"{n} {what}" for what, n in tally.items()) for name, tally in tallies.items())
    click.echo(f"      {text}\n      {shown}")
