"""`kato-transport serve`, as an operator runs it."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest

import kato_transport as kt

OBSERVATION = {"strings": ["a", "b"], "vectors": [], "emotives": {}, "unique_id": "o-1"}


@pytest.mark.parametrize("transport", ["improved", "basic"])
def test_the_ready_line_names_endpoints_that_answer(serve, transport):
    """Port 0 becomes a real port, for ZeroMQ and for HTTP."""
    serving = serve("--transport", transport)
    assert serving.ready["ready"] is True
    assert serving.ready["transport"] == transport
    assert serving.ready["pid"] == serving.process.pid
    with kt.connect(serving.ready["zmq"], transport=transport) as client:
        assert client.call("observe", OBSERVATION)["message"] == "observed"
    with urllib.request.urlopen(f"{serving.ready['rest']}/any/short-term-memory", timeout=10) as answer:
        assert json.load(answer)["message"] == [["a", "b"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(serve, number):
    """It drains, and says so in the log."""
    status, log = serve().end(number)
    assert status == 0
    assert "draining" in log
    assert "Traceback" not in log


def test_the_environment_selects_the_transport(serve):
    """`legacy` is KATO's older word for basic."""
    assert serve(KATO_ZMQ_IMPLEMENTATION="legacy").ready["transport"] == "basic"


def test_it_can_do_without_the_gateway(serve):
    """Then nothing listens for HTTP."""
    assert serve("--no-rest").ready["rest"] is None


def test_rest_alone_serves_the_processor_over_http(serve):
    """The REST transport needs no ZeroMQ behind it."""
    serving = serve("--transport", "rest")
    assert serving.ready["zmq"] is None
    with kt.connect(serving.ready["rest"], transport="rest") as client:
        assert client.call("observe", OBSERVATION)["message"] == "observed"


def test_several_processors_are_told_apart_by_id(serve):
    """Each has a memory of its own."""
    serving = serve("--no-rest", "--processor", "p1=processor_memory", "--processor", "p2=processor_memory")
    with kt.connect(serving.ready["zmq"]) as client:
        client.call("observe", OBSERVATION, processor_id="p2")
        assert client.call("ping")["processors"] == ["p1", "p2"]
        assert client.call("get_stm")["short_term_memory"] == []
        assert client.call("get_stm", processor_id="p2")["short_term_memory"] == [["a", "b"]]
        with pytest.raises(kt.RemoteError, match="no processor 'p3'; this server has: p1, p2"):
            client.call("get_stm", processor_id="p3")


def test_what_was_acknowledged_survives_kill_9(serve, tmp_path):
    """With `--data`, a learned model is there after the process was killed."""
    data = str(tmp_path / "memory.db")
    first = serve("--no-rest", "--data", data)
    with kt.connect(first.ready["zmq"]) as client:
        client.call("observe", OBSERVATION)
        name = client.call("learn")["model_name"]
    first.process.kill()
    first.process.wait()
    with kt.connect(serve("--no-rest", "--data", data).ready["zmq"]) as client:
        assert client.call("get_model", {"model_id": name})["model"]["sequence"] == [["a", "b"]]


def test_the_manifest_is_the_genome(serve):
    """KATO's own variable reaches the processor."""
    serving = serve("--no-rest", MANIFEST='{"id": "p9", "name": "Nine"}')
    with kt.connect(serving.ready["zmq"]) as client:
        assert client.call("get_name") | {"time_stamp": 0} == {
            "status": "okay",
            "id": "p9",
            "interval": 0,
            "time_stamp": 0,
            "message": "Nine",
        }


ENGINE = """
class Engine:
    id, name, time = "e1", "Engine", 0

    def observe(self, data):
        return {"unique_id": data["unique_id"], "auto_learned_model": None}

    def learn(self):
        return "MODEL|x"

    def get_predictions(self, unique_id={}):
        return [{"name": "x"}]

    def get_wm(self):
        return [["w"]]


def factory(settings):
    return Engine()
"""


def test_anybodys_object_with_katos_method_names_is_a_processor(serve, tmp_path):
    """No adapter: a method of either era's name is found."""
    (tmp_path / "engine.py").write_text(ENGINE)
    serving = serve("--no-rest", "--processor", "engine:factory", cwd=tmp_path)
    with kt.connect(serving.ready["zmq"]) as client:
        assert client.call("get_stm")["short_term_memory"] == [["w"]]
        assert client.call("get_predictions")["predictions"] == [{"name": "MODEL|x"}]


def test_a_port_in_use_is_an_error_that_names_it(run):
    """No traceback, status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--no-rest", "--zmq-port", str(port))
    assert done.returncode == 1
    assert f"cannot serve at tcp://127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unwritable_data_path_is_an_error_that_names_it(run, tmp_path):
    """A folder is no file."""
    done = run("serve", "--no-rest", "--zmq-port", "0", "--data", str(tmp_path))
    assert done.returncode in (1, 2)
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "text"),
    [
        (("--transport", "imroved"), {}, "Did you mean 'improved'?"),
        ((), {"KATO_ZMQ_IMPLEMENTATION": "carrier"}, "Installed: basic, improved, kv_events, memory, rest"),
        ((), {"ZMQ_PORT": "70000"}, "ZMQ_PORT"),
        ((), {"MANIFEST": "[1]"}, "MANIFEST"),
        (("--processor", "nothing:here"), {}, "nothing:here"),
        (("--processor", "procesor_memory"), {}, "Did you mean 'processor_memory'?"),
        (("--rest-port", "0", "--no-rest"), {}, "exclude each other"),
    ],
)
def test_what_cannot_be_served_is_a_usage_error(run, arguments, environment, text):
    """Status 2, and a message that says what to do."""
    done = run("serve", *arguments, **environment)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_without_a_disabled_gateway(serve):
    """As without one that is not installed."""
    assert serve(KATO_TRANSPORT_DISABLED_PLUGINS="rest").ready["rest"] is None
