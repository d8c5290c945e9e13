"""A small processor, servers of this project, and servers written by hand that do what the original's did."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import msgpack
import pytest
import zmq

import kato_transport as kt
from kato_transport.compat import ImprovedZMQClient, ZMQClient, cleanup_global_pool, cleanup_improved_pool

MODEL = "MODEL|" + "a" * 40
WAIT_S = 10.0


class Double:
    """A processor with KATO's method names that does little, and always the same."""

    id = "p1"
    name = "P1"

    def __init__(self) -> None:
        self.time = 0
        self.observed: list[dict[str, Any]] = []
        self.genome_manifest = {"id": self.id, "name": self.name, "persistence": 5}
        self.models: dict[str, dict[str, Any]] = {}
        self.stm: list[list[str]] = []
        self.hold = threading.Event()
        self.hold.set()

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        self.observed.append(observation)
        self.hold.wait(WAIT_S)
        self.time += 1
        self.stm.append(sorted(observation["strings"]))
        return {"unique_id": observation["unique_id"]}

    def learn(self) -> str:
        if len(self.stm) < 2:
            return ""
        name = MODEL.removeprefix("MODEL|")
        self.models[name] = {"name": name, "sequence": self.stm, "frequency": 1, "emotives": {}}
        self.stm = []
        return MODEL

    def get_predictions(self, unique_id: Any = None) -> list[dict[str, Any]]:
        return [{"name": name, "asked": dict(unique_id or {})} for name in self.models]

    def get_stm(self) -> list[list[str]]:
        return self.stm

    def clear_stm(self) -> None:
        self.stm = []

    def clear_all_memory(self) -> None:
        self.stm, self.models, self.time = [], {}, 0

    def get_percept_data(self) -> dict[str, Any]:
        return self.observed[-1] if self.observed else {}

    @property
    def cognition_data(self) -> dict[str, Any]:
        return {"predictions": [], "short_term_memory": self.stm}

    def get_genome(self) -> dict[str, Any]:
        return self.genome_manifest

    def gene_change(self, name: str, value: Any) -> None:
        if name not in self.genome_manifest:
            raise kt.ServiceError(f"Unknown gene: {name}", "not_found")
        self.genome_manifest[name] = value

    def get_model(self, name: str) -> dict[str, Any] | None:
        return self.models.get(name)


def old_methods(double: Double, era: str, framing: str) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """What the original's servers answered, by wire name: each framing its keys, each era its words, and no more."""
    short, long = ("wm", "working_memory") if era == "A" else ("stm", "short_term_memory")
    basic = framing == "basic"
    okay = {"status": "okay"}
    stamp = {**okay, "id": double.id, "interval": double.time, "time_stamp": time.time()}

    def data(key: str, value: Any) -> dict[str, Any]:
        return {**okay, "data" if basic else key: value}

    def done(message: str, action: Callable[[], Any]) -> dict[str, Any]:
        action()
        return {**(stamp if basic else okay), "message": message}

    def learn(params: dict[str, Any]) -> dict[str, Any]:
        name = double.learn()
        return {**stamp, "message": name or "learning-called"} if basic else {**okay, "model_name": name, "message": name}

    def get_model(params: dict[str, Any]) -> dict[str, Any]:
        found = double.get_model(params["model_id"].removeprefix("MODEL|"))
        text = f"Model {params['model_id']} not found"
        return {**okay, "model": found} if found else {"status": "error", "message": text}

    def get_predictions(params: dict[str, Any]) -> dict[str, Any]:
        asked = {} if basic else params.get("unique_id", {})
        found = [{**one, "name": f"MODEL|{one['name']}"} for one in double.get_predictions(asked)]
        return data("predictions", found)

    def gene_change(params: dict[str, Any]) -> dict[str, Any]:
        double.gene_change(params["gene_name"], params["gene_value"])
        return {**okay, "message": f"Gene {params['gene_name']} updated to {params['gene_value']}"}

    methods = {
        "get_name": lambda params: {**stamp, "message": double.name},
        "observe": lambda params: {**stamp, "message": "observed", **double.observe(params)},
        "learn": learn,
        "clear_all_memory": lambda params: done("all-cleared", double.clear_all_memory),
        f"clear_{long}": lambda params: done("wm-cleared" if basic else f"{short}-cleared", double.clear_stm),
        f"get_{short}": lambda params: data(long, double.get_stm()),
        "get_predictions": get_predictions,
        "get_percept_data": lambda params: data("percept_data", double.get_percept_data()),
        "get_cognition_data": lambda params: data("cognition_data", double.cognition_data),
        "get_gene": lambda p: {**okay, "gene_name": p["gene_name"], "gene_value": double.get_genome().get(p["gene_name"])},
        "get_model": get_model,
        "gene_change": gene_change,
        "get_genome": lambda params: {**okay, "genome": double.get_genome()} if basic else double.get_genome(),
    }
    if not basic:
        methods["ping"] = lambda params: {**okay, "message": "pong", "timestamp": time.time()}
        methods["clear_all"] = methods["clear_all_memory"]
        methods[f"clear_{short}"] = methods[f"clear_{long}"]
    return methods


class OldServer:
    """The original's server: REP (basic) or ROUTER (improved), one thread, no ids, no features."""

    def __init__(self, double: Double, framing: str, era: str = "B") -> None:
        self._double, self._framing, self._era = double, framing, era
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP if framing == "basic" else zmq.ROUTER)
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.garbage = self.heartbeats = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        self._socket.close(linger=0)
        self._context.term()

    def _run(self) -> None:
        while not self._stop:
            if not self._socket.poll(20):
                continue
            frames = self._socket.recv_multipart()
            if self._framing == "basic":
                self._socket.send(self._answer(frames[0]))
            else:
                self._socket.send_multipart([frames[0], self._answer(frames[1])])

    def _answer(self, message: bytes) -> bytes:
        try:
            request = msgpack.unpackb(message)
            if request.get("type") == "heartbeat":
                self.heartbeats += 1
                return msgpack.packb({"status": "ok", "timestamp": time.time()})
            methods = old_methods(self._double, self._era, self._framing)
            method, params = request.get("method"), request.get("params", {})
            unknown = {"status": "error", "message": f"Unknown method: {method}"}
            return msgpack.packb(methods[method](params) if method in methods else unknown)
        except Exception as exc:
            self.garbage += 1
            return msgpack.packb({"status": "error", "message": str(exc), "traceback": "…"})


class Peer(NamedTuple):
    """A client with the server it speaks to."""

    client: ZMQClient | ImprovedZMQClient
    double: Double
    port: int
    framing: str
    server: Any


@pytest.fixture
def double() -> Double:
    return Double()


@pytest.fixture
def made() -> Iterator[ExitStack]:
    """What a test makes, let go of at its end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(double, made, eventually):
    """Serve the double by a transport of this project, or by `old` and a framing; gives the server with its `port`."""

    def serve(kind: str = "improved", endpoint: str = "tcp://127.0.0.1:0", era: str = "B") -> Any:
        if kind.startswith("old "):
            server = OldServer(double, kind.removeprefix("old "), era)
            made.callback(server.close)
            return server
        server = made.enter_context(eventually(lambda: _bound(double, endpoint, kind)))
        server.port = int(server.endpoint.rpartition(":")[2])
        return server

    return serve


def _bound(double: Double, endpoint: str, kind: str) -> kt.RunningServer | None:
    """A server, or None while libzmq has not let go of a port that was used a moment ago."""
    try:
        return kt.serve(double, endpoint, transport=kind, drain_s=0.5)
    except kt.BindFailed:
        return None


PEERS = [
    (ZMQClient, "basic"),
    (ZMQClient, "improved"),
    (ZMQClient, "old basic"),
    (ImprovedZMQClient, "improved"),
    (ImprovedZMQClient, "old improved"),
]


def make_peer(client_class, kind, era, serve, double, made) -> Peer:
    server = serve(kind, era=era)
    client = made.enter_context(client_class("127.0.0.1", server.port, timeout=5000))
    framing = "basic" if client_class is ZMQClient else "improved"
    return Peer(client, double, server.port, framing, server)


@pytest.fixture(params=PEERS, ids=lambda pair: f"{pair[0].__name__} to {pair[1]}")
def peer(request, serve, double, made) -> Peer:
    """Each client with each server it has to get along with."""
    return make_peer(*request.param, "B", serve, double, made)


@pytest.fixture(params=PEERS, ids=lambda pair: f"{pair[0].__name__} to {pair[1]}")
def era_a_peer(request, serve, double, made) -> Peer:
    """The same, with old servers of the era of the working memory."""
    return make_peer(*request.param, "A", serve, double, made)


@pytest.fixture
def eventually():
    """Wait until a condition holds, with a bound."""

    def eventually(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + WAIT_S
        while not (found := condition()):
            assert time.monotonic() < deadline, "did not come true"
            time.sleep(0.002)
        return found

    return eventually


@pytest.fixture
def in_threads():
    """Run a function in as many threads at once, and give what each returned or raised."""

    def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
        ready, outcomes = threading.Barrier(count), []

        def run() -> None:
            ready.wait(WAIT_S)
            try:
                outcomes.append(work())
            except Exception as exc:
                outcomes.append(exc)

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * WAIT_S)
        return outcomes

    return in_threads


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port of which nobody takes calls: it is bound, so that nobody else gets it, and not listened at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch):
    """No setting from outside, and no global pool from one test to the next."""
    for name in ("KATO_ZMQ_IMPLEMENTATION", "ZMQ_PORT", "REST_PORT"):
        monkeypatch.delenv(name, raising=False)
    yield
    cleanup_global_pool()
    cleanup_improved_pool()


def observation(*strings: str, unique_id: str = "1") -> dict[str, Any]:
    return {"strings": list(strings), "vectors": [], "emotives": {}, "unique_id": unique_id}


@pytest.fixture(name="observation")
def _observation():
    """An observation of some strings."""
    return observation
