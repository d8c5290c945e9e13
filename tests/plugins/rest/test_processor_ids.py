"""Which processor a path means."""

import asyncio

import pytest

import kato_transport as kt


class Scripted:
    """An upstream that answers from a table, and keeps what it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def request(self, request):
        self.asked.append((request.method, request.processor_id))
        answer = self.answers.get(request.method, {"status": "error", "message": f"Unknown method: {request.method}"})
        if isinstance(answer, Exception):
            raise answer
        return kt.Response(answer)

    async def close(self):
        await asyncio.sleep(0)

    @property
    def pings(self):
        return [method for method, _ in self.asked].count("ping")


NAME = {"status": "okay", "id": "p1", "interval": 0, "time_stamp": 1.0, "message": "Small"}
ONE = {"status": "okay", "processors": ["p1"]}
TWO = {"status": "okay", "processors": ["p1", "p2"]}


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setenv("KATO_REST_STRICT_PROCESSOR_ID", "true")


def test_with_one_processor_every_id_is_taken_for_it(serve, processor):
    """The fixtures of the original use any."""
    web = serve(processor)
    assert [web.get(f"/{name}/ping").json["message"] for name in ("p1", "anything", "p2")] == ["Small"] * 3


def test_with_several_each_id_is_its_own(serve, processor, another_processor):
    """And the first one answers where no processor is named."""
    web = serve([processor, another_processor])
    assert [web.get(f"/{name}/ping").json["message"] for name in ("p1", "p2")] == ["Small", "Another"]
    assert web.get("/connect").json["genome"]["id"] == "p1"


def test_with_several_an_unknown_id_is_a_404_that_lists_them(serve, processor, another_processor):
    """On every path of a processor."""
    web = serve([processor, another_processor])
    for answer in (web.get("/p3/ping"), web.post("/p3/learn"), web.get("/p3/gene/name")):
        assert answer.status == 404
        assert answer.json["message"] == "no processor 'p3'; this server has: p1, p2"
        assert answer.json["code"] == "not_found"


@pytest.mark.usefixtures("strict")
def test_strictly_another_id_is_a_404_with_one_processor_too(serve, processor):
    """KATO_REST_STRICT_PROCESSOR_ID."""
    web = serve(processor)
    assert web.get("/p1/ping").status == 200
    assert web.get("/p2/ping").status == 404


@pytest.mark.usefixtures("strict")
def test_strictly_an_old_server_is_asked_for_its_name(gateway):
    """It knows no ping, or lists no processors."""
    web = gateway(lambda: Scripted(get_name=NAME))
    assert web.get("/p1/ping").status == 200
    assert web.get("/p2/ping").status == 404


def test_an_old_server_counts_as_one_processor(gateway):
    """Whose id is not asked for."""
    upstream = Scripted(get_name=NAME)
    web = gateway(lambda: upstream)
    assert web.get("/any/ping").json["id"] == "any"
    assert upstream.asked == [("ping", ""), ("get_name", "")]


def test_the_processors_are_asked_for_once(gateway):
    """However many requests come."""
    upstream = Scripted(ping=TWO, get_name=NAME)
    web = gateway(lambda: upstream)
    for _ in range(10):
        assert web.get("/p2/ping").status == 200
    assert upstream.pings == 1
    assert upstream.asked[-1] == ("get_name", "p2")


def test_an_unknown_id_is_looked_for_once_more_before_it_is_refused(gateway):
    """The server may have been restarted with others."""
    upstream = Scripted(ping=TWO, get_name=NAME)
    web = gateway(lambda: upstream)
    web.get("/p1/ping")
    upstream.answers["ping"] = {"status": "okay", "processors": ["p3", "p4"]}
    assert web.get("/p4/ping").status == 200
    assert web.get("/p1/ping").status == 404


@pytest.mark.parametrize(
    "failure",
    [
        {"status": "error", "message": "no processor 'p1'", "code": "not_found"},
        {"status": "error", "message": "later", "code": "busy"},
        kt.ConnectFailed("nobody there"),
        kt.ConnectionLost("broken"),
        kt.CallTimeout("get_name", 1.0, "there"),
    ],
)
def test_after_a_failure_the_processors_are_asked_for_again(gateway, failure):
    """Whatever failed, the next server may have others."""
    upstream = Scripted(ping=TWO, get_name=failure)
    web = gateway(lambda: upstream)
    assert web.get("/p1/ping").status >= 400
    upstream.answers |= {"ping": ONE, "get_name": NAME}
    assert web.get("/p1/ping").status == 200
    assert upstream.asked[-2:] == [("ping", ""), ("get_name", "")]


def test_while_the_server_behind_is_away_every_id_is_a_503(gateway):
    """And it is asked again with the next request."""
    upstream = Scripted(ping=kt.ConnectFailed("nobody there"), get_name=NAME)
    web = gateway(lambda: upstream)
    assert web.get("/p1/ping").status == 503
    upstream.answers["ping"] = ONE
    assert web.get("/p1/ping").status == 200
