"""One worker process through all its lives: started, waited for, asked, and started anew whenever it ends."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from kato_transport.contracts import ClientOptions, Connection, Transport
from kato_transport.errors import (
    CallTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    InvalidSetting,
    TransportError,
)
from kato_transport.model import Request, Response

BACK_OFF_S = 0.1
LONGEST_BACK_OFF_S = 5.0
"""How long a process that ended is not started anew: doubled each time, until one has lived longer than the longest."""

ASK_S = 0.5
"""How soon a process that ended before it answered is noticed."""

GRACE_S = 2.0
"""What a process may take to end beyond its drain time before it is killed."""

USAGE_ERROR = 2
STDERR = 2

log = logging.getLogger("kato_transport.processes")


@frozen(eq=False)
class Life:
    """A process, its socket, and the connection to it."""

    process: subprocess.Popen[bytes]
    socket: Path
    connection: Connection
    began: float

    def processors(self) -> list[str]:
        """The ids of its processors, once it answers; empty where it ended before."""
        while self.process.poll() is None:
            try:
                pong = self.connection.request(Request("ping", timeout_s=ASK_S))
            except TransportError:
                time.sleep(BACK_OFF_S)
                continue
            return [str(processor_id) for processor_id in pong.body["processors"]]
        return []

    def close(self) -> None:
        """Let go of a process that has ended."""
        self.connection.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.socket.unlink(missing_ok=True)  # libzmq leaves it


class WorkerProcess:
    """Runs `kato-transport serve` with `arguments`, from its making until `close`.

    The process is in a group of its own, so that Ctrl-C reaches this one only, and ends with its standard input, so that
    it goes with this one however that ends.
    """

    def __init__(
        self, arguments: Sequence[str], transport: Transport, folder: Path, number: int, options: ClientOptions
    ) -> None:
        command = [sys.executable, "-m", "kato_transport", "serve", "--as-worker", "--transport", transport.name]
        self._command = [*command, *arguments]
        self._transport = transport
        self._folder = folder
        self._number = number
        self._options = options
        self._lives = 0
        self._closing = threading.Event()
        self._beginning = threading.Lock()
        self._keeper: threading.Thread | None = None
        self._newest = self._begin()
        self._ready: Life | None = None
        self.processors: list[str] = []

    def start(self) -> None:
        """Wait until the process answers; from then on it is started anew whenever it ends.

        `InvalidSetting` or `ConfigurationError` where it ended instead; it has said why on standard error.
        """
        life = self._newest
        self.processors = life.processors()
        if not self.processors:
            status = life.process.wait()
            kind = InvalidSetting if status == USAGE_ERROR else ConfigurationError
            raise kind(f"a worker process ended before it could serve, with {_told(status)}; see what it said above")
        self._ready = life
        self._keeper = threading.Thread(target=self._keep, name="kato-worker-process", daemon=True)
        self._keeper.start()

    def request(self, request: Request) -> Response:
        """The process's answer; what it raises is told in words that mean something outside of this machine."""
        life = self._ready
        if life is None:
            raise self._unavailable(request)
        try:
            return life.connection.request(request)
        except ConnectFailed as exc:
            raise self._unavailable(request) from exc
        except CallTimeout as exc:
            raise CallTimeout(request.method, request.timeout_s, "its processor's process") from exc
        except (ConnectionLost, ClientClosed) as exc:
            raise ConnectionLost(f"{request.method}: its processor's process ended meanwhile; it may have run") from exc

    def stop(self) -> None:
        """Have the process drain and end, and start no other."""
        with self._beginning:
            self._closing.set()
        self._newest.process.terminate()

    def close(self, within_s: float) -> None:
        """Wait for the end of the process; kill it where it takes longer than it may."""
        self.stop()
        process = self._newest.process
        try:
            process.wait(within_s + GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning("worker process %d had not ended after %g s: killed", process.pid, within_s + GRACE_S)
            process.kill()
            process.wait()
        if self._keeper is not None:
            self._keeper.join()
        self._newest.close()

    def _begin(self) -> Life:
        """Start a process at an endpoint of its own, where nothing of an earlier one can be met."""
        self._lives += 1
        socket = self._folder / f"{self._number}.{self._lives}"
        endpoint = f"ipc://{socket}"
        connection = self._transport.connect(endpoint, self._options)
        try:
            process = subprocess.Popen(
                [*self._command, "--endpoint", endpoint],
                stdin=subprocess.PIPE,
                stdout=STDERR,  # standard output is for the one ready line
                process_group=0,
            )
        except OSError as exc:
            connection.close()
            raise ConfigurationError(f"no worker process can be started: {exc}") from exc
        return Life(process, socket, connection, time.monotonic())

    def _keep(self) -> None:
        """Start the process anew whenever it ends; runs on a thread."""
        back_off_s, names = BACK_OFF_S, ", ".join(self.processors)
        while True:
            life = self._newest
            status = life.process.wait()
            self._ready = None
            if self._closing.is_set():
                return
            if time.monotonic() - life.began > LONGEST_BACK_OFF_S:
                back_off_s = BACK_OFF_S
            log.error("process %d of %s ended with %s; next in %g s", life.process.pid, names, _told(status), back_off_s)
            life.close()
            while not self._has_begun_after(back_off_s):
                if self._closing.is_set():
                    return
                back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
            back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
            if self._newest.processors():
                self._ready = self._newest
                log.warning("process %d of %s serves", self._newest.process.pid, names)

    def _has_begun_after(self, seconds: float) -> bool:
        """Start another process after a pause; false where it could not be started, or is not wanted any more."""
        self._closing.wait(seconds)
        with self._beginning:
            if self._closing.is_set():
                return False
            try:
                self._newest = self._begin()
            except TransportError as exc:
                log.error("%s; next try later", exc)
                return False
            return True

    def _unavailable(self, request: Request) -> ConnectFailed:
        who = request.processor_id or self.processors[0]
        return ConnectFailed(
            f"{request.method}: the process of processor {who!r} ended and is being started anew; nothing was run"
        )


def _told(status: int) -> str:
    """What an exit status says."""
    return f"status {status}" if status >= 0 else f"signal {-status}"
