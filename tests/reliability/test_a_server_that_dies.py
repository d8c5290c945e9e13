"""A call in flight when its server is killed: the caller hears of it long before the call's time is over."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import kato_transport as kt

SERVER = """
import time
import kato_transport as kt

def slow():
    print("started", flush=True)
    time.sleep(60)
    return {}

with kt.serve({"slow": slow}, "tcp://127.0.0.1:0") as server:
    print(server.endpoint, flush=True)
    time.sleep(60)
"""


def test_a_call_ends_about_a_connect_timeout_after_its_server_was_killed() -> None:
    """That long the server may take to return and say what became of the call."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            endpoint = server.stdout.readline().strip()
            with (
                kt.connect(endpoint, transport="improved", timeout_s=30.0, connect_timeout_s=0.5) as client,
                ThreadPoolExecutor(1) as threads,
            ):
                slow = threads.submit(client.call, "slow")
                assert server.stdout.readline() == "started\n"
                server.kill()
                killed = time.monotonic()
                with pytest.raises(kt.ConnectionLost):
                    slow.result()
                assert time.monotonic() - killed < 15.0
        finally:
            server.kill()
