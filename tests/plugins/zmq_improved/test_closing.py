"""Servers that are closed while something still runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import kato_transport as kt

from .conftest import Service
from .peers import WAIT_S, until


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("kato-improved-")]


def test_a_handler_that_outlives_its_server_writes_to_nobodys_file(
    serve: Callable[..., kt.RunningServer], service: Service, tmp_path: Path
) -> None:
    """The descriptors it would wake the server by are somebody else's by then."""
    server = serve(drain_s=0.05)
    with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        client.submit("hold")
        until(lambda: service.holding, "the call did not start")
        server.close()
        with ExitStack() as stack:
            files = [stack.enter_context((tmp_path / str(number)).open("wb", buffering=0)) for number in range(64)]
            service.gate.set()
            until(lambda: workers() == [], "the handler's thread was left")
            assert [os.fstat(file.fileno()).st_size for file in files] == [0] * 64


def test_what_was_taken_is_answered_before_the_server_goes(serve: Callable[..., kt.RunningServer], service: Service) -> None:
    """Within the drain time; what comes meanwhile is answered busy."""
    server = serve(drain_s=WAIT_S, workers=4)
    with kt.connect(server.endpoint, transport="improved", timeout_s=2 * WAIT_S) as client:
        futures = [client.submit("hold") for _ in range(8)]
        until(lambda: service.holding == 4 and server.stats()["on_workers"] == 8, "the calls did not start")
        closer = threading.Thread(target=server.close)
        closer.start()

        def busy() -> bool:
            answer = client.request(kt.Request("echo", timeout_s=WAIT_S))
            return answer.body.get("code") == "busy"

        until(busy, "a closing server goes on taking calls")
        service.gate.set()
        assert [future.result(WAIT_S)["status"] for future in futures] == ["okay"] * 8
        closer.join(WAIT_S)
    assert not closer.is_alive()
    assert workers() == []


def test_closing_takes_no_longer_than_the_drain_time(serve: Callable[..., kt.RunningServer], service: Service) -> None:
    """And closing again takes none."""
    server = serve(drain_s=0.2)
    with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        client.submit("hold")
        until(lambda: service.holding, "the call did not start")
        started = time.monotonic()
        server.close()
        server.close()
        assert 0.2 <= time.monotonic() - started < WAIT_S
        with pytest.raises((kt.ConnectFailed, kt.ConnectionLost)):
            client.request(kt.Request("echo", timeout_s=1.0))
