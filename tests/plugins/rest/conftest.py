"""A small processor, servers with it behind HTTP, and a plain HTTP client."""

import hashlib
import http.client
import json
import socket
import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from attrs import evolve

import kato_transport as kt
from kato_transport.service import as_service
from kato_transport_rest import RestTransport


class SmallProcessor:
    """Remembers events and learns them by heart: KATO's method names, nothing of its prediction."""

    def __init__(self, processor_id="p1", name="Small"):
        self.id = processor_id
        self.name = name
        self.genes = {"id": processor_id, "name": name, "recall_threshold": 0.1, "a/b": "slash", "max_sequence_length": 0}
        self.time = 0
        self.stm = []
        self.models = {}
        self.percept = {}
        self.seen = []
        self.learned_of = {}

    def observe(self, observation):
        self.time += 1
        self.seen.append(observation)
        self.percept = {name: observation[name] for name in ("strings", "vectors", "emotives")}
        if observation["strings"]:
            self.stm.append(sorted(observation["strings"]))
        limit = self.genes["max_sequence_length"]
        learned = self.learn() if limit and len(self.stm) >= limit else ""
        return {"unique_id": observation["unique_id"], "auto_learned_model": learned}

    def learn(self):
        if len(self.stm) < 2:
            self.stm = []
            return ""
        name = hashlib.sha1(str(self.stm).encode()).hexdigest()
        self.models[name] = {"name": name, "sequence": self.stm, "frequency": 1, "emotives": {}}
        self.stm = []
        return f"MODEL|{name}"

    def get_predictions(self, unique_id):
        found = [{"name": name, "frequency": 1} for name in self.models]
        asked = unique_id.get("unique_id")
        return found if asked in (None, "known") else []

    def get_stm(self):
        return self.stm

    def clear_stm(self):
        self.stm = []

    def clear_all_memory(self):
        self.stm, self.models, self.time = [], {}, 0

    def get_percept_data(self):
        return self.percept

    def get_cognition_data(self):
        return {"predictions": [], "short_term_memory": self.stm, "command": ""}

    def get_gene(self, gene_name):
        return self.genes.get(gene_name)

    def gene_change(self, gene_name, gene_value):
        if gene_name not in self.genes:
            raise kt.ServiceError(f"Unknown gene: {gene_name}", kt.ErrorCode.NOT_FOUND)
        self.genes[gene_name] = gene_value

    def get_model(self, model_id):
        return self.models.get(model_id)

    def get_genome(self):
        return self.genes


class Web:
    """Requests on one kept connection."""

    def __init__(self, endpoint):
        parts = urlsplit(endpoint)
        self.address = (parts.hostname, parts.port)
        self.connection = http.client.HTTPConnection(*self.address, timeout=10)

    def request(self, verb, path, body=None, **headers):
        self.connection.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.connection.getresponse()
        data = answer.read()
        is_json = answer.getheader("content-type", "") == "application/json"
        found = json.loads(data, parse_constant=pytest.fail) if is_json and data else None
        return SimpleNamespace(status=answer.status, headers=answer.headers, data=data, json=found)

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def post(self, path, body=None, **headers):
        return self.request("POST", path, None if body is None else json.dumps(body), **headers)

    @contextmanager
    def raw(self):
        """A bare connection: `send` bytes, `answer` reads until the server hangs up."""
        with socket.create_connection(self.address, timeout=10) as sock:
            yield SimpleNamespace(socket=sock, send=sock.sendall, answer=lambda: _until_end(sock))

    def close(self):
        self.connection.close()


def _until_end(sock):
    chunks = []
    while chunk := sock.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def server_options(**changes):
    return kt.ServerOptions(codec=kt.registry().codec("msgpack"), **changes)


def _basic(processor):
    """The processor as an old basic server answers for it: its own keys, no codes, no list of processors."""
    service = as_service(processor)

    def answer(request):
        try:
            found = service(evolve(request, framing="basic"))
        except kt.ServiceError as exc:
            return kt.Response({"status": "error", "message": exc.message})
        return found

    return answer


@pytest.fixture
def scope():
    """Closes what a test opened, the last first; nothing of it may leave a thread."""
    before = set(threading.enumerate())
    with ExitStack() as stack:
        yield stack
    assert set(threading.enumerate()) <= before


@pytest.fixture
def open_web(scope):
    def open_(endpoint):
        web = Web(endpoint)
        scope.callback(web.close)
        return web

    return open_


@pytest.fixture
def serve(scope, open_web):
    """`serve(served, **options)`: a served object behind HTTP, and a client of it."""

    def serve_(served, **options):
        server = scope.enter_context(kt.serve(served, "http://127.0.0.1:0", transport="rest", **options))
        web = open_web(server.endpoint)
        web.server = server
        return web

    return serve_


@pytest.fixture
def gateway(scope, open_web):
    """`gateway(make_upstream, **options)`: a gateway before an upstream, and a client of it."""

    def gateway_(make_upstream, timeout_s=10.0, **options):
        server = RestTransport().serve_gateway("http://127.0.0.1:0", make_upstream, server_options(**options), timeout_s)
        scope.callback(server.close)
        web = open_web(server.endpoint)
        web.server = server
        return web

    return gateway_


@pytest.fixture
def processor():
    return SmallProcessor()


@pytest.fixture
def another_processor():
    return SmallProcessor("p2", "Another")


@pytest.fixture(params=["direct", "behind a gateway", "behind a gateway, basic"])
def web(request, processor, serve, gateway, scope):
    """The processor over HTTP, in each of the ways it can be behind it."""
    if request.param == "direct":
        return serve(processor)
    served = _basic(processor) if request.param.endswith("basic") else processor
    behind = scope.enter_context(kt.serve(served, "memory://", transport="memory"))
    return gateway(lambda: kt.aconnect(behind.endpoint, transport="memory"))
