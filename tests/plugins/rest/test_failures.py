"""The status of each way to fail, and what is in front of a server that is slow or away."""

import asyncio
import json
import queue
import threading
from contextlib import ExitStack

import httpx2
import pytest

import kato_transport as kt
from kato_transport_rest.gateway import Gateway


class Answering:
    """An upstream that always gives the same, or raises it."""

    def __init__(self, given):
        self.given = given

    async def request(self, request):
        if isinstance(self.given, Exception):
            raise self.given
        return kt.Response(self.given)

    async def close(self):
        """Nothing to close."""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unknown_method", 404),
        ("invalid_params", 400),
        ("not_found", 404),
        ("busy", 503),
        ("deadline_exceeded", 504),
        ("too_large", 413),
        ("unauthenticated", 401),
        ("unavailable", 503),
        ("internal", 500),
        ("a_code_of_tomorrow", 500),
    ],
)
def test_each_code_has_its_status(gateway, code, status):
    """And goes on to the client, with its text."""
    answer = gateway(lambda: Answering(kt.Response.error("why", code).body)).get("/connect")
    assert answer.status == status
    assert answer.json == {"status": "error", "message": "why", "code": code}
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("Model MODEL|x not found", 404, "not_found"),
        ("Unknown gene: x", 404, "not_found"),
        ("Unknown method: get_genome", 404, "unknown_method"),
        ("gene_name and gene_value parameters required", 400, "invalid_params"),
        ("model_id parameter required", 400, "invalid_params"),
        ("division by zero", 500, "internal"),
        (None, 500, "internal"),
    ],
)
def test_old_servers_texts_stand_for_the_codes_they_lack(gateway, text, status, code):
    """Their errors have no code."""
    body = {"status": "error"} if text is None else {"status": "error", "message": text}
    answer = gateway(lambda: Answering(body)).get("/connect")
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (kt.ConnectFailed("nobody there"), 503, "unavailable"),
        (kt.ConnectionLost("broken"), 502, "connection_lost"),
        (kt.ClientClosed("closed"), 503, "unavailable"),
        (kt.CallTimeout("get_genome", 1.0, "tcp://there"), 504, "deadline_exceeded"),
        (kt.LocalProtocolError("integer out of range"), 400, "invalid_params"),
        (kt.RemoteProtocolError("no map"), 500, "internal"),
        (RuntimeError("a bug"), 500, "internal"),
    ],
)
def test_each_failure_of_the_client_has_its_status(gateway, error, status, code):
    """Retry-After where it helps."""
    answer = gateway(lambda: Answering(error)).get("/connect")
    assert (answer.status, answer.json["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_an_answer_that_lacks_what_it_is_about_is_a_500(gateway):
    """Naming it."""
    answer = gateway(lambda: Answering({"status": "okay"})).get("/p/predictions")
    assert (answer.status, answer.json["message"]) == (500, "the server's answer holds no predictions")


def test_a_server_that_is_away_is_a_503_and_back_when_it_is(gateway, scope, processor):
    """The gateway outlives it."""
    web = gateway(lambda: kt.aconnect("memory://comes-and-goes", transport="memory"))
    for path in ("/p1/ping", "/connect", "/readyz"):
        answer = web.get(path)
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert web.get("/healthz").status == web.get("/kato-api/ping").status == 200
    scope.enter_context(kt.serve(processor, "memory://comes-and-goes", transport="memory"))
    assert web.get("/readyz").json == {"status": "okay"}
    assert web.get("/p1/ping").status == 200


def test_a_server_that_is_slow_is_a_504(gateway, scope, processor):
    """After the gateway's own time."""
    release = threading.Event()
    processor.get_percept_data = release.wait
    behind = scope.enter_context(kt.serve(processor, "memory://", transport="memory"))
    web = gateway(lambda: kt.aconnect(behind.endpoint, transport="memory"), timeout_s=0.1)
    answer = web.get("/p1/percept-data")
    assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
    release.set()


def test_a_slow_observation_holds_up_no_ping(serve, open_web, processor):
    """The original had one thread for all."""
    entered, release = threading.Event(), threading.Event()

    def observe(observation):
        entered.set()
        release.wait(10)
        return {}

    processor.observe = observe
    web = serve(processor)
    slow = open_web(web.server.endpoint)
    statuses = []
    body = {"strings": [], "vectors": [], "emotives": {}}
    thread = threading.Thread(target=lambda: statuses.append(slow.post("/p1/observe", body).status))
    thread.start()
    assert entered.wait(10)
    assert web.get("/p1/ping").status == 200
    assert web.get("/readyz").status == 200
    assert statuses == []
    release.set()
    thread.join()
    assert statuses == [200]


def test_a_full_queue_is_a_503_with_retry_after(serve, open_web):
    """Instead of waiting without end: of three calls one runs and one waits."""
    release = threading.Event()
    web = serve({"hold": lambda: {"released": release.wait(10)}}, workers=1, queue_limit=1)
    answers = queue.SimpleQueue()

    def call(connection):
        answers.put(connection.post("/kato-api/call", {"method": "hold"}, Content_Type="application/json"))

    threads = [threading.Thread(target=call, args=(open_web(web.server.endpoint),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    refused = answers.get(timeout=10)
    release.set()
    for thread in threads:
        thread.join()
    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "busy", "1")


def test_the_gateway_is_an_application_for_any_asgi_server():
    """Here none at all."""

    options = kt.ServerOptions(codec=kt.registry().codec("json"))

    async def ask():
        app = Gateway(Answering({"status": "okay", "gene_value": 5}), options, timeout_s=1.0)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://gateway") as client:
            return (await client.get("/p/gene/a%2Fb?x=1")).json()

    assert asyncio.run(ask()) == {"gene_name": "a/b", "gene_value": 5, "message": 5}


def test_all_requests_share_one_connection_made_in_the_gateways_loop(gateway, scope, processor):
    """Never one for each."""
    behind = scope.enter_context(kt.serve(processor, "memory://", transport="memory"))
    made = []

    def connect():
        made.append(threading.current_thread().name)
        return kt.aconnect(behind.endpoint, transport="memory")

    web = gateway(connect)
    for _ in range(20):
        assert web.get("/p1/ping").status == 200
    assert made == ["kato-rest"]


def test_what_the_upstreams_factory_raises_the_server_raises(gateway):
    """And leaves nothing behind."""
    with pytest.raises(kt.UnknownTransport):
        gateway(lambda: kt.aconnect("x://", transport="nonsense"))


@pytest.mark.usefixtures("many_descriptors")
def test_512_connections_at_once_are_all_answered(scope, gateway):
    """Over the one connection to the server behind, each with its own answer."""
    behind = scope.enter_context(kt.serve({"get_gene": lambda gene_name: {"gene_value": gene_name}}, "tcp://127.0.0.1:0"))
    web = gateway(lambda: kt.aconnect(behind.endpoint))
    with ExitStack() as stack:
        raws = [stack.enter_context(web.raw()) for _ in range(512)]
        for number, raw in enumerate(raws):
            raw.send(f"GET /p/gene/{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        bodies = [json.loads(raw.answer().partition(b"\r\n\r\n")[2]) for raw in raws]
    assert [body.get("gene_value", body) for body in bodies] == [str(number) for number in range(512)]
