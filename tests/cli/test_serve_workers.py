"""`kato-transport serve --workers`: processors in processes of their own, behind the same endpoints."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

import kato_transport as kt

from .conftest import Running, Start

WAIT_S = 20.0
"""What anything here may take at most; a busy machine is slow to start processes."""

OBSERVATION = {"strings": ["a", "b"], "vectors": [], "emotives": {}, "unique_id": "o-1"}

ENGINE = """
import os
import sys
import time
from pathlib import Path


class Engine:
    name, time = "Engine", 0

    def __init__(self, id):
        self.id = id

    def observe(self, data):
        print("an engine's own word", flush=True)
        if "exit" in data["strings"]:
            os._exit(3)
        if "hold" in data["strings"]:
            Path(f"held-{self.id}").touch()
            while Path("hold").exists():
                time.sleep(0.01)
        return {"unique_id": data["unique_id"]}

    def learn(self):
        return ""

    def get_predictions(self, unique_id={}):
        return []

    def get_wm(self):
        return [[str(os.getpid())]]


def factory(settings):
    if Path("broken").exists():
        raise RuntimeError("broken")
    return Engine(settings.processor_id or "only")
"""

TWO = ("--workers", "2", "--processor", "p1=engine:factory", "--processor", "p2=engine:factory")
MEMORIES = ("--workers", "2", "--processor", "p1=processor_memory", "--processor", "p2=processor_memory")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the engine lies, and what it is told by files."""
    (tmp_path / "engine.py").write_text(ENGINE)
    return tmp_path


@pytest.fixture
def serving(serve: Start, folder: Path) -> Running:
    """Two engines in two processes, behind the improved transport and REST."""
    return serve(*TWO, cwd=folder, LOG_LEVEL="INFO")


def observation(*strings: str) -> dict[str, object]:
    return {"strings": list(strings), "vectors": [], "emotives": {}, "unique_id": "o"}


def pid_of(client: kt.Client, processor_id: str) -> int:
    """The process that has the processor."""
    return int(client.call("get_stm", processor_id=processor_id)["short_term_memory"][0][0])


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; fail with `what` where it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process is there, and not merely unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def unless_down(
    client: kt.Client, method: str, params: dict[str, object], processor_id: str
) -> dict[str, Any] | kt.RemoteError:
    """The answer, or the error that says that the processor's process is not there; any other is raised."""
    try:
        return client.call(method, params, processor_id=processor_id)
    except kt.RemoteError as exc:
        if exc.code not in ("unavailable", "connection_lost"):
            raise
        return exc


def served_again(client: kt.Client, processor_id: str, but: int) -> bool:
    """Whether the processor is answered for by another process than that."""
    answer = unless_down(client, "get_stm", {}, processor_id)
    return not isinstance(answer, kt.RemoteError) and answer["short_term_memory"] != [[str(but)]]


# --- one endpoint -----------------------------------------------------------------------------------------------


def test_each_processor_has_a_process_behind_one_endpoint(serving):
    """The command's own process has none of them."""
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        assert client.call("ping")["processors"] == ["p1", "p2"]
        pids = {pid_of(client, "p1"), pid_of(client, "p2"), serving.ready["pid"]}
        assert len(pids) == 3
        assert pid_of(client, "") == pid_of(client, "p1")


def test_the_ready_line_is_the_only_word_on_standard_output(serving):
    """What engines print goes to the log."""
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        client.call("observe", observation("a"))
    serving.process.send_signal(signal.SIGTERM)
    out, log = serving.process.communicate(timeout=WAIT_S)
    assert out == ""
    assert "an engine's own word" in log


def test_processors_beyond_the_processes_are_shared_out_in_turns(serve, folder):
    """Three in two: the first and the third are together, and `ping` keeps their order."""
    serving = serve("--no-rest", *TWO, "--processor", "p3=engine:factory", cwd=folder)
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        assert client.call("ping")["processors"] == ["p1", "p2", "p3"]
        first, second, third = (pid_of(client, processor_id) for processor_id in ("p1", "p2", "p3"))
        assert first == third != second


def test_one_processor_needs_one_process_only(serve, folder):
    """It is the command's own."""
    serving = serve("--no-rest", "--workers", "4", "--processor", "engine:factory", cwd=folder)
    with kt.connect(serving.ready["zmq"]) as client:
        assert pid_of(client, "") == serving.ready["pid"]


def test_the_environment_can_say_how_many(serve, folder):
    """`KATO_TRANSPORT_WORKERS` are threads; this is another variable. The option wins."""
    serving = serve("--no-rest", *TWO[2:], cwd=folder, KATO_TRANSPORT_PROCESSES="2")
    alone = serve("--no-rest", "--workers", "1", *TWO[2:], cwd=folder, KATO_TRANSPORT_PROCESSES="2")
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client, kt.connect(alone.ready["zmq"]) as other:
        assert pid_of(client, "p1") != pid_of(client, "p2")
        assert pid_of(other, "p1") == pid_of(other, "p2") == alone.ready["pid"]


def test_the_gateway_reaches_every_process(serving):
    """The id in the path chooses, as with one process."""
    for processor_id in ("p1", "p2"):
        url = f"{serving.ready['rest']}/{processor_id}/short-term-memory"
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer, kt.connect(serving.ready["zmq"]) as client:
            assert json.load(answer)["message"] == [[str(pid_of(client, processor_id))]]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{serving.ready['rest']}/p3/short-term-memory", timeout=WAIT_S)


def test_a_processor_that_is_not_there_is_told_with_those_that_are(serving):
    """Of all processes."""
    with (
        kt.connect(serving.ready["zmq"]) as client,
        pytest.raises(kt.RemoteError, match="no processor 'p3'; this server has: p1, p2") as told,
    ):
        client.call("get_stm", processor_id="p3")
    assert told.value.code == "not_found"


def test_errors_come_back_as_they_are(serving):
    """Codes and words are the process's own."""
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        with pytest.raises(kt.RemoteError, match="Unknown method: fly") as told:
            client.call("fly")
        assert told.value.code == "unknown_method"
        with pytest.raises(kt.RemoteError, match="strings is missing") as told:
            client.call("observe", {})
        assert told.value.code == "invalid_params"


def test_an_old_clients_request_is_answered_in_its_own_framing(serving):
    """A REQ client gets the words and keys of the basic column, and its own id."""
    context = zmq.Context()
    with context.socket(zmq.REQ) as old:
        old.connect(serving.ready["zmq"])
        codec = kt.registry().codec("msgpack")
        old.send(codec.encode({"method": "get_stm", "params": {}, "id": 7}))
        assert old.poll(WAIT_S * 1000)
        answer = codec.decode(old.recv())
    context.term()
    assert answer.keys() >= {"data", "status"}
    assert answer["request_id"] == 7


@pytest.mark.parametrize("transport", ["basic", "rest"])
def test_any_transport_can_stand_in_front(serve, folder, transport):
    """A REQ client gets its own column of the answers, too."""
    serving = serve("--transport", transport, *TWO, cwd=folder)
    with kt.connect(serving.ready["zmq"] or serving.ready["rest"], transport=transport, timeout_s=WAIT_S) as client:
        answers = [client.call("get_stm", processor_id=processor_id) for processor_id in ("p1", "p2")]
        key = "data" if transport == "basic" else "short_term_memory"
        assert answers[0][key] != answers[1][key]


def test_copies_of_a_call_are_run_once(serve):
    """The reply cache is the front's, as its life is what clients know."""
    serving = serve("--no-rest", *MEMORIES)
    transport = kt.registry().transport("improved")
    with (
        kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client,
        closing(transport.connect(serving.ready["zmq"], kt.ClientOptions(codec=kt.registry().codec("msgpack")))) as connection,
    ):
        once = f"{client.call('ping')['server']}.tester.1"
        copy = kt.Request("observe", OBSERVATION, "p2", WAIT_S, once=once)
        assert connection.request(copy).body == connection.request(copy).body
        assert client.call("get_name", processor_id="p2")["interval"] == 1


def test_a_batch_is_taken_apart_in_front(serving):
    """Its calls reach the processes of their processors."""
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        calls = [{"method": "get_stm", "params": {}, "processor_id": name} for name in ("p1", "p2", "p1")]
        answers = client.call("batch", {"calls": calls})["answers"]
        first, second, again = (answer["short_term_memory"] for answer in answers)
        assert first == again != second


# --- one process does not hold up the other ------------------------------------------------------------------------


def test_a_call_under_way_holds_up_nothing_but_its_processor(serving, folder):
    """`get_name` of the same processor included, which has to be answered for it to count as alive."""
    (folder / "hold").touch()
    with kt.connect(serving.ready["zmq"], timeout_s=3 * WAIT_S) as client:
        held = client.submit("observe", observation("hold"))
        until((folder / "held-p1").exists, "the observation began")
        assert client.call("get_name")["message"] == "Engine"
        assert pid_of(client, "p2")
        assert not held.done()
        (folder / "hold").unlink()
        assert held.result(WAIT_S)["message"] == "observed"


def test_a_call_under_way_is_finished_before_the_processes_end(serving, folder):
    """SIGTERM drains: in front first, then the processes; none is left."""
    (folder / "hold").touch()
    with kt.connect(serving.ready["zmq"], timeout_s=3 * WAIT_S) as client:
        pids = [pid_of(client, "p1"), pid_of(client, "p2")]
        held = client.submit("observe", observation("hold"))
        until((folder / "held-p1").exists, "the observation began")
        threading.Timer(0.3, (folder / "hold").unlink).start()
        status, log = serving.end(signal.SIGTERM)
        assert held.result(WAIT_S)["message"] == "observed"
    assert status == 0
    assert "draining" in log
    assert "Traceback" not in log
    assert not any(map(is_running, pids))


def test_a_handler_that_does_not_end_keeps_no_process(serve, folder):
    """Once the drain time is over, in front and in its process."""
    serving = serve("--no-rest", *TWO, cwd=folder, KATO_TRANSPORT_DRAIN_S="0.2")
    with kt.connect(serving.ready["zmq"], timeout_s=3 * WAIT_S) as client:
        pids = [pid_of(client, "p1"), pid_of(client, "p2")]
        (folder / "hold").touch()
        held = client.submit("observe", observation("hold"))
        until((folder / "held-p1").exists, "the observation began")
        status, log = serving.end(signal.SIGTERM)
        assert isinstance(held.exception(WAIT_S), kt.TransportError)
    assert status == 0
    assert "Traceback" not in log
    assert not any(map(is_running, pids))


# --- when a process ends -------------------------------------------------------------------------------------------


def test_a_process_that_ends_is_started_anew_and_the_others_go_on(serving):
    """The call that was under way may have run, and is told so; the log has a line."""
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        first, second = pid_of(client, "p1"), pid_of(client, "p2")
        with pytest.raises(kt.RemoteError, match="it may have run") as told:
            client.call("observe", observation("exit"), processor_id="p2")
        assert told.value.code == "connection_lost"
        assert pid_of(client, "p1") == first
        until(lambda: served_again(client, "p2", but=second), "another process has p2")
        assert pid_of(client, "p1") == first
    status, log = serving.end(signal.SIGTERM)
    assert status == 0
    assert f"process {second} of p2 ended with status 3" in log


def test_calls_to_a_process_that_cannot_come_back_are_refused_at_once(serving, folder):
    """They are not run, and nobody waits for a timeout; once it can, it does."""
    with kt.connect(serving.ready["zmq"], timeout_s=60 * WAIT_S) as client:
        second = pid_of(client, "p2")
        (folder / "broken").touch()
        os.kill(second, signal.SIGKILL)
        until(lambda: _refused(client), "its calls are refused")
        (folder / "broken").unlink()
        until(lambda: served_again(client, "p2", but=second), "another process has p2")


def _refused(client: kt.Client) -> bool:
    answer = unless_down(client, "get_stm", {}, "p2")
    return isinstance(answer, kt.RemoteError) and answer.code == "unavailable" and "is being started anew" in answer.message


def test_what_was_acknowledged_survives_the_end_of_its_process(serve, tmp_path):
    """Each processor has a file of its own in the folder, and finds it again in the next process, and in however many."""
    data = tmp_path / "memory"
    serving = serve("--no-rest", *MEMORIES, "--data", str(data))
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        client.call("observe", OBSERVATION, processor_id="p2")
        name = client.call("learn", processor_id="p2")["model_name"]
        for pid in children_of(serving.process.pid):
            os.kill(pid, signal.SIGKILL)
        until(lambda: _remembers(client, name), "the model is back")
    assert serving.end(signal.SIGTERM)[0] == 0
    assert {path.name for path in data.iterdir()} >= {"p1.db", "p2.db"}
    alone = serve("--no-rest", "--workers", "1", *MEMORIES[2:], "--data", str(data))
    with kt.connect(alone.ready["zmq"]) as client:
        assert _remembers(client, name)


def _remembers(client: kt.Client, name: str) -> bool:
    answer = unless_down(client, "get_model", {"model_id": name}, "p2")
    return not isinstance(answer, kt.RemoteError) and answer["model"]["sequence"] == [["a", "b"]]


def children_of(pid: int) -> list[int]:
    """The processes that this one started."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


@pytest.mark.parametrize("held", [False, True], ids=["idle", "in a handler that does not end"])
def test_no_process_is_left_when_the_command_is_killed(serve, folder, held):
    """They notice by themselves; nobody is there to tell them. Nor does a handler keep them, nor anything of theirs remain."""
    (folder / "tmp").mkdir()
    serving = serve("--no-rest", *TWO, cwd=folder, KATO_TRANSPORT_DRAIN_S="0.2", TMPDIR="tmp")
    with kt.connect(serving.ready["zmq"], timeout_s=WAIT_S) as client:
        pids = [pid_of(client, "p1"), pid_of(client, "p2")]
        if held:
            (folder / "hold").touch()
            client.submit("observe", observation("hold"))
            until((folder / "held-p1").exists, "the observation began")
        serving.process.kill()
        until(lambda: not any(map(is_running, pids)), "the processes have ended")
    assert list((folder / "tmp").iterdir()) == []


# --- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--workers", "0"), "--workers"),
        (("--workers", "2", "--processor", "nothing:here", "--processor", "p2=engine:factory"), "nothing:here"),
        (("--workers", "2", "--processor", "p1=engine:factory", "--processor", "p1=engine:factory"), "ids of their own"),
        ((*MEMORIES, "--data", __file__), "one process can have"),
    ],
)
def test_what_cannot_be_served_is_a_usage_error(start, folder, arguments, text):
    """As with one process: status 2, and a message that says what to do."""
    running = start("serve", "--no-rest", "--zmq-port", "0", *arguments, cwd=folder)
    out, log = running.process.communicate(timeout=2 * WAIT_S)
    assert (running.process.returncode, out) == (2, "")
    assert text in log
    assert "Traceback" not in log
