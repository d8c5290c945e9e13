"""What any HTTP client expects, whatever it asks for."""

import json
import socket
import time

import pytest

import kato_transport as kt

LIMIT = 2000


@pytest.fixture
def plain(serve, processor):
    return serve(processor, max_message_bytes=LIMIT)


@pytest.fixture
def cross_origin(serve, processor, monkeypatch):
    def serve_(origins):
        monkeypatch.setenv("KATO_TRANSPORT_REST_CORS_ORIGINS", origins)
        return serve(processor)

    return serve_


def test_one_connection_carries_many_requests(plain):
    """HTTP/1.1 with keep-alive; the original closed after each."""
    plain.get("/p1/ping")
    sock = plain.connection.sock
    for path in ["/p1/ping", "/nowhere/at/all", "/p1/observe", "/p1/gene/nonsense", "/docs"] * 20:
        plain.get(path)
    assert plain.connection.sock is sock


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/p1/ping"),
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("POST", "/p1/observe"),
        ("PUT", "/p1/observe"),
        ("OPTIONS", "/p1/ping"),
        ("HEAD", "/connect"),
        ("POST", "/kato-api/call"),
    ],
)
def test_every_answer_says_its_length(plain, verb, path):
    """Errors, too."""
    answer = plain.request(verb, path)
    expected = len(plain.get(path).data) if verb == "HEAD" else len(answer.data)
    assert answer.headers["content-length"] == str(expected)


@pytest.mark.parametrize("path", ["/", "/kato-api/ping", "/connect", "/p1/predictions", "/p1/gene/name", "/healthz"])
def test_head_is_get_without_the_body(plain, path):
    """On every path that has a GET."""
    answer = plain.request("HEAD", path)
    assert (answer.status, answer.data) == (200, b"")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/kato-api/ping", "GET, HEAD, OPTIONS"),
        ("/p1/predictions", "GET, HEAD, POST, OPTIONS"),
        ("/p1/observe", "POST, OPTIONS"),
        ("/kato-api/call", "POST, OPTIONS"),
    ],
)
def test_options_says_what_is_allowed(plain, path, allow):
    """On every path."""
    answer = plain.request("OPTIONS", path)
    assert (answer.status, answer.data, answer.headers["allow"]) == (200, b"", allow)


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("POST", "/p1/ping", "GET, HEAD, OPTIONS"),
        ("GET", "/p1/observe", "POST, OPTIONS"),
        ("HEAD", "/p1/learn", "POST, OPTIONS"),
        ("DELETE", "/connect", "GET, HEAD, OPTIONS"),
        ("PATCH", "/p1/genes/change", "POST, OPTIONS"),
    ],
)
def test_another_verb_is_a_405_that_says_which_are_allowed(plain, verb, path, allow):
    """In JSON."""
    answer = plain.request(verb, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    if verb != "HEAD":
        assert answer.json["code"] == "method_not_allowed"
        assert allow in answer.json["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/non-existent-endpoint",
        "/p1",
        "/p1/",
        "//ping",
        "/p1/ping/",
        "/p1/nonsense",
        "/p1/gene/",
        "/p1/gene/a/b/c",
        "/*/x",
    ],
)
def test_an_unknown_path_is_a_404_in_json(plain, path):
    """Not a page."""
    answer = plain.get(path)
    assert answer.status == 404
    assert answer.json["status"] == "error"
    assert answer.json["code"] == "not_found"


def test_a_path_that_is_not_utf_8_is_a_400(plain):
    """Percent-escapes may hold anything."""
    assert plain.get("/p1/gene/%ff").status == 400


def test_a_full_address_as_target_is_read_like_its_path(plain):
    """As proxies are asked; every server has to take it."""
    with plain.raw() as raw:
        raw.send(b"GET http://example.org/p1/ping?x HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
        assert raw.answer().startswith(b"HTTP/1.1 200")


# --- bodies -----------------------------------------------------------------------------------------------------


def observation(size):
    return json.dumps({"strings": ["x" * size], "vectors": [], "emotives": {}})


def test_a_body_up_to_the_limit_is_taken(plain):
    """Exactly that much, too."""
    short = len(observation(0))
    assert plain.request("POST", "/p1/observe", observation(LIMIT - short)).status == 200
    assert plain.request("POST", "/p1/observe", observation(LIMIT - short + 1)).status == 413


def test_a_body_declared_too_large_is_refused_before_it_comes(plain):
    """So a client that asks first (Expect: 100-continue) never sends it."""
    with plain.raw() as raw:
        raw.send(b"POST /p1/observe HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += raw.socket.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code":"too_large"' in answer


def test_a_body_that_turns_out_too_large_is_refused(plain):
    """Chunked, so nobody said how long it is; the answer comes before its end."""
    with plain.raw() as raw:
        raw.send(b"POST /p1/observe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            raw.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert raw.socket.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_client_that_writes_all_before_it_reads_still_gets_its_413(plain):
    """And the server is there for the next one."""
    answer = plain.request("POST", "/p1/observe", observation(5_000_000))
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"
    assert plain.get("/p1/ping").status == 200


def test_a_chunked_body_is_read(plain, processor):
    """Without Content-Length."""
    data = observation(3).encode()
    answer = plain.request("POST", "/p1/observe", iter([data[:10], data[10:]]))
    assert answer.status == 200
    assert processor.stm == [["xxx"]]


# --- what is not HTTP -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9 nonsense\r\n\r\n",
        b"POST /p1/observe HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /p1/observe HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /p1/observe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"GET /" + b"x" * 20_000 + b" nonsense\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_json(plain, garbage):
    """And costs its sender only."""
    with plain.raw() as raw:
        raw.send(garbage)
        head, _, body = raw.answer().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["status"] == "error"
    assert plain.get("/p1/ping").status == 200


def test_a_client_that_leaves_in_the_middle_costs_nobody_else(plain):
    """In the headers, in the body, and before its answer."""
    head = b"/p1/observe HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    for part in (b"GET /p1/pi", b"POST " + head + b"{", b"OPTIONS " + head + b"12345"):
        with plain.raw() as raw:
            raw.send(part)
    assert plain.get("/p1/ping").status == 200


def test_a_reader_that_stands_still_holds_up_nobody(serve):
    """Its answers wait; other connections go on."""
    web = serve({"big": lambda: {"text": "x" * 1_000_000}}, drain_s=0.1)
    body = b'{"method": "big"}'
    request = b"POST /kato-api/call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n" + body
    with web.raw() as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.send(request * 50)
        started = time.monotonic()
        assert web.get("/healthz").status == 200
        assert time.monotonic() - started < 5
        web.server.close()


# --- other origins ----------------------------------------------------------------------------------------------


PREFLIGHT = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}


def test_without_the_setting_no_other_origin_is_let_in(plain):
    """No header says so, and a preflight is an OPTIONS like any other."""
    assert "access-control-allow-origin" not in plain.get("/p1/ping", Origin="https://a.example").headers
    answer = plain.request("OPTIONS", "/p1/observe", Origin="https://a.example", **PREFLIGHT)
    assert "access-control-allow-origin" not in answer.headers


def test_an_origin_of_the_setting_is_let_in(cross_origin):
    """And only that one is named."""
    web = cross_origin("https://a.example, https://b.example")
    answer = web.get("/p1/ping", Origin="https://b.example")
    assert answer.headers["access-control-allow-origin"] == "https://b.example"
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in web.get("/p1/ping", Origin="https://c.example").headers


def test_a_request_of_no_page_is_answered_and_kept_apart(cross_origin):
    """A cache gives no page what was answered to another program."""
    answer = cross_origin("https://a.example").get("/p1/ping")
    assert (answer.status, answer.headers["vary"]) == (200, "Origin")
    assert "access-control-allow-origin" not in answer.headers


def test_a_star_lets_every_origin_in(cross_origin):
    """Errors as well, so that a page can read them."""
    web = cross_origin("*")
    assert web.get("/nowhere", Origin="https://c.example").headers["access-control-allow-origin"] == "*"


def test_a_preflight_is_answered_before_the_request_itself(cross_origin):
    """With what may be sent."""
    answer = cross_origin("https://a.example").request("OPTIONS", "/p1/observe", Origin="https://a.example", **PREFLIGHT)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type"


def test_a_preflight_of_a_stranger_is_refused_in_json(cross_origin):
    """Naming the reason."""
    answer = cross_origin("https://a.example").request("OPTIONS", "/p1/observe", Origin="https://c.example", **PREFLIGHT)
    assert answer.status == 400
    assert "origin" in answer.json["message"]
    assert answer.headers["content-length"] == str(len(answer.data))


# --- answers that JSON cannot carry -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {b"key": 1}, {(1, 2): 3}, object(), "\ud800"])
def test_an_answer_that_json_cannot_carry_is_a_clear_500(serve, processor, value):
    """Never invalid JSON."""
    processor.genes["odd"] = value
    answer = serve(processor).get("/p1/gene/odd")
    assert answer.status == 500
    assert "cannot be sent as json" in answer.json["message"]


def test_keys_that_are_numbers_become_text(serve, processor):
    """As JSON has it."""
    processor.genes["odd"] = {1: "one"}
    assert serve(processor).get("/p1/gene/odd").json["gene_value"] == {"1": "one"}


def test_what_breaks_in_a_processor_is_a_500_without_a_traceback(serve, processor, caplog):
    """Which the log has."""
    processor.get_percept_data = lambda: 1 / 0
    answer = serve(processor).get("/p1/percept-data")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert "Traceback" not in answer.data.decode()
    assert "ZeroDivisionError" in caplog.text


def test_a_served_function_answers_kato_paths_too(serve):
    """There is no need for a processor."""
    web = serve(lambda request: kt.Response.okay(gene_value=request.params["gene_name"].upper()))
    assert web.get("/p/gene/name").json == {"gene_name": "name", "gene_value": "NAME", "message": "NAME"}
