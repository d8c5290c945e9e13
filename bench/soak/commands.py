"""`kato-transport` commands in processes of their own, that end in every way and come back on the same ports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import kato_transport as kt
from bench.soak.served import GENE
from kato_transport.testing.waiting import background

ROOT: Final = Path(__file__).parents[2]
KATO_TRANSPORT: Final = str(Path(sys.executable).with_name("kato-transport"))
READY_S: Final = 60.0
END_S: Final = 30.0
STARTS: Final = 5
"""Attempts at a restart: a port may be somebody else's for a moment."""
CONTROL_S: Final = 20.0


class Command(ABC):
    """One command; `ready` is what it says once it can be used, and `complaints` what it should not have done."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.restarts = 0
        self.complaints: list[str] = []
        self.log = folder / f"{name}.log"
        self.ready: dict[str, Any] = {}
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def start(self) -> None:
        """Begin, and wait until it can be used; `RuntimeError` where it cannot."""
        for _ in range(STARTS):
            with self.log.open("ab") as log:
                command = [KATO_TRANSPORT, *self._arguments()]
                self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, start_new_session=True)
            assert self._process.stdout is not None
            line = background(self._process.stdout.readline).result(READY_S)
            if line:
                self.ready = json.loads(line)
                return
            self.close()
        raise RuntimeError(f"{self.name} does not start; see {self.log}")

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end; after SIGTERM that has to be an orderly one."""
        if not self.is_running:
            self.complaints.append(f"{self.name} ended by itself, with status {self._process.returncode}; see {self.log}")
        self._process.send_signal(number)
        try:
            status = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"{self.name} did not end within {END_S:g} s of {number.name}")
        else:
            if status and number == signal.SIGTERM:
                self.complaints.append(f"{self.name} ended with status {status} after SIGTERM; see {self.log}")
        self.close()

    def close(self) -> None:
        """See that nothing of it is left; idempotent."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @abstractmethod
    def _arguments(self) -> Sequence[str]:
        """What follows `kato-transport` on the command line."""


class Serve(Command):
    """`kato-transport serve --data`."""

    def __init__(self, name: str, folder: Path, transport: str = "improved", rest: bool = False) -> None:
        self._transport = transport
        self._data = folder / f"{name}.sqlite"
        self._rest = rest
        self._repeats_of_before = self._repeats = 0
        super().__init__(name, folder)

    @property
    def endpoint(self) -> str:
        return str(self.ready["zmq"])

    @property
    def gateway(self) -> str:
        return str(self.ready["rest"])

    @property
    def repeats(self) -> int:
        """Calls answered from the reply cache, as far as was asked in time."""
        return self._repeats_of_before + self._repeats

    def client(self) -> kt.Client:
        """The shortest way to it."""
        return kt.connect(self.endpoint, transport=self._transport, timeout_s=CONTROL_S)

    def taught(self, sequences: Sequence[list[list[str]]]) -> list[str]:
        """Have it learn models; their names."""
        with self.client() as client:
            return [client.call("observe_sequence", _lesson(events))["final_learned_model"] for events in sequences]

    def emptied_memory(self) -> list[str]:
        """The short-term memory, one symbol an event; it is cleared."""
        with self.client() as client:
            answer = client.call("get_stm")
            client.call("clear_stm", idempotent=True)
        events = answer["short_term_memory"] if "short_term_memory" in answer else answer["data"]
        return [" ".join(event) for event in events]

    def greet(self) -> None:
        """A call through the gateway, where it has one: what is opened once and kept, as by uvloop, is open then."""
        if self._rest:
            with kt.connect(self.gateway, transport="rest", timeout_s=CONTROL_S) as client:
                client.call("ping")

    def about(self) -> dict[str, int]:
        """Its own figures: `repeats`, `threads`, `descriptors`."""
        with self.client() as client:
            found: dict[str, int] = client.call("get_gene", {"gene_name": GENE})["gene_value"]
        self._repeats = found["repeats"]
        return found

    def end(self, number: signal.Signals) -> None:
        if self.is_running:
            with suppress(kt.TransportError):
                self.about()
        super().end(number)
        self._repeats_of_before, self._repeats = self.repeats, 0

    def _arguments(self) -> Sequence[str]:
        rest = ["--rest-port", self.gateway.rpartition(":")[2] if self.ready else "0"] if self._rest else ["--no-rest"]
        port = self.endpoint.rpartition(":")[2] if self.ready else "0"
        served = ["--processor", "bench.soak.served:processor", "--data", str(self._data)]
        return ["serve", "--transport", self._transport, "--zmq-port", port, *rest, *served]


class Proxy(Command):
    """`kato-transport proxy`."""

    def __init__(self, name: str, folder: Path, upstream: str) -> None:
        self._upstream = upstream
        super().__init__(name, folder)

    @property
    def endpoint(self) -> str:
        return str(self.ready["endpoint"])

    def _arguments(self) -> Sequence[str]:
        return ["proxy", "--upstream", self._upstream, "--endpoint", self.endpoint if self.ready else "tcp://127.0.0.1:0"]


def _lesson(events: list[list[str]]) -> dict[str, Any]:
    return {"observations": [{"strings": event} for event in events], "learn_at_end": True}
