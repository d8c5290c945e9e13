"""Nothing twice, nothing lost: observations through a proxy that loses, delays, repeats and cuts, and a server that dies."""

from __future__ import annotations

import signal

import pytest

import kato_transport as kt
from bench.message_proxy import MessageProxy
from kato_transport.processor_specs import make_processor
from kato_transport.processors import ProcessorSettings

from .conftest import RestartingServer

OBSERVATIONS = 500
SEED = 1
ODDS = {"lost": 0.02, "repeated": 0.05, "delayed": 0.03, "cut": 0.005}
ENDINGS = {150: signal.SIGTERM, 350: signal.SIGKILL}
"""Before which observation the server is ended, and how."""


def _event(turn: int) -> dict[str, object]:
    return {"strings": [f"s{turn}"], "vectors": [], "emotives": {}, "unique_id": f"u{turn}"}


@pytest.mark.timeout(180)
def test_what_was_acknowledged_is_there_once(server: RestartingServer) -> None:
    """No more, no less; a call whose outcome nobody knows is there once or not at all, and its caller was told so."""
    acknowledged, unknown = [], []
    with (
        MessageProxy(server.endpoint, SEED, **ODDS) as proxy,
        kt.connect(proxy.endpoint, transport="improved", timeout_s=12.0, copies=60, heartbeat_interval_s=1.0) as client,
    ):
        for turn in range(OBSERVATIONS):
            if turn in ENDINGS:
                server.end(ENDINGS[turn])
                server.start()
            try:
                assert client.call("observe", _event(turn))["unique_id"] == f"u{turn}"
                acknowledged.append(turn)
            except (kt.ConnectFailed, kt.ConnectionLost, kt.CallTimeout):
                unknown.append(turn)
        assert all(proxy.counts.values()), proxy.counts
    with kt.connect(server.endpoint, transport="improved", timeout_s=10.0) as client:
        observed = [int(event[0].removeprefix("s")) for event in client.call("get_stm")["short_term_memory"]]
        name = client.call("learn")["model_name"]
    assert len(acknowledged) > 0.98 * OBSERVATIONS
    assert [turn for turn in observed if turn not in unknown] == acknowledged
    assert len(set(observed)) == len(observed)
    assert name == _name_fed_directly(observed)


def _name_fed_directly(turns: list[int]) -> str:
    """What a processor learns that was told the same without anything between."""
    processor = make_processor("processor_memory", ProcessorSettings(genome={}, data=None))
    for turn in turns:
        processor.observe(_event(turn))
    return str(processor.learn())
