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


def test_a_change_of_no_genes_is_for_a_processor_all_the_same(serve, processor, another_processor):
    """One of several, and not for one that nobody is: an empty change is no reason to say that all is well."""
    web = serve([processor, another_processor])
    nothing = {"data": {}}
    for name in ("p1", "p2"):
        answer = web.post(f"/{name}/genes/change", nothing)
        assert (answer.status, answer.json) == (200, {"id": name, "status": "okay", "message": "updated-genes"})
    answer = web.post("/p3/genes/change", nothing)
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.json["message"] == "no processor 'p3'; this server has: p1, p2"


def test_a_change_of_genes_is_for_one_of_several_processors(serve, processor, another_processor):
    """The others keep theirs."""
    web = serve([processor, another_processor])
    assert web.post("/p2/genes/change", {"data": {"recall_threshold": 0.7, "max_sequence_length": 5}}).status == 200
    assert (another_processor.genes["recall_threshold"], another_processor.genes["max_sequence_length"]) == (0.7, 5)
    assert (processor.genes["recall_threshold"], processor.genes["max_sequence_length"]) == (0.1, 0)


@pytest.mark.parametrize("name", ["p1", "anything"])
def test_with_one_processor_a_change_of_no_genes_is_for_it(serve, processor, name):
    """By any id, as everything else."""
    answer = serve(processor).post(f"/{name}/genes/change", {"data": {}})
    assert (answer.status, answer.json["id"]) == (200, name)


@pytest.mark.usefixtures("strict")
def test_strictly_a_change_of_no_genes_asks_for_the_right_id(serve, processor):
    """KATO_REST_STRICT_PROCESSOR_ID."""
    web = serve(processor)
    assert [web.post(f"/{name}/genes/change", {"data": {}}).status for name in ("p1", "p2")] == [200, 404]


def test_a_change_of_no_genes_while_the_server_behind_is_away_is_a_503(gateway):
    """Nobody knows whether it is for anybody."""
    web = gateway(lambda: Scripted(ping=kt.ConnectFailed("nobody there")))
    assert web.post("/p1/genes/change", {"data": {}}).status == 503


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
