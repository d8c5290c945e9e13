"""POST /kato-api/call: any method, in the wire's own maps."""

import json

import msgpack
import pytest

import kato_transport as kt

JSON, MSGPACK = "application/json", "application/msgpack"


def echo(request):
    return kt.Response.okay(
        method=request.method,
        params=dict(request.params),
        processor_id=request.processor_id,
        timeout_s=request.timeout_s,
        trace=request.trace,
        framing=request.framing,
    )


@pytest.fixture
def web(serve):
    return serve(echo)


def test_a_call_goes_through_with_all_that_it_carries(web):
    """In JSON."""
    message = {"method": "m", "params": {"a": [1]}, "processor_id": "p", "timeout_s": 2.5, "trace": "00-1", "id": 7}
    answer = web.post("/kato-api/call", message, Content_Type=f"{JSON}; charset=utf-8")
    assert answer.status == 200
    assert answer.json == {
        "status": "okay",
        "method": "m",
        "params": {"a": [1]},
        "processor_id": "p",
        "timeout_s": 2.5,
        "trace": "00-1",
        "framing": "improved",
        "request_id": 7,
    }


def test_messagepack_is_answered_in_messagepack(web):
    """Bytes and all."""
    body = msgpack.packb({"method": "m", "params": {"a": b"\x00\xff"}})
    answer = web.request("POST", "/kato-api/call", body, Content_Type=MSGPACK)
    assert answer.headers["content-type"] == MSGPACK
    assert msgpack.unpackb(answer.data)["params"] == {"a": b"\x00\xff"}


def test_the_server_says_what_it_can_do(web):
    """`ping`, as on every transport."""
    answer = web.post("/kato-api/call", {"method": "ping"}, Content_Type=JSON)
    assert {"deadline", "json", "msgpack"} <= set(answer.json["features"])


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
def test_another_content_type_is_a_415_that_lists_those_read(web, content_type):
    """No guessing."""
    answer = web.request("POST", "/kato-api/call", b"{}", Content_Type=content_type)
    assert answer.status == 415
    assert JSON in answer.json["message"]
    assert answer.headers["accept-post"] == f"{MSGPACK}, {JSON}"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "json"),
        (b"{not json", "json"),
        (b"[]", "list"),
        (b"{}", "method"),
        (b'{"method": 5}', "method"),
        (b'{"method": "m", "params": []}', "params"),
        (b'{"method": "m", "timeout_s": 0}', "timeout_s"),
        (b'{"method": "m", "timeout_s": "soon"}', "timeout_s"),
        (b'{"method": "m", "processor_id": 1}', "processor_id"),
        (b'{"method": "m", "buffers": ["a"]}', "buffers"),
        (b'{"type": "heartbeat", "timestamp": 1.0}', "method"),
    ],
)
def test_a_bad_request_is_a_400_that_says_what_is_wrong(web, body, named):
    """In the request's own content type."""
    answer = web.request("POST", "/kato-api/call", body, Content_Type=JSON)
    assert (answer.status, answer.json["code"]) == (400, "invalid_params")
    assert named in answer.json["message"]


def test_errors_have_the_status_of_their_code(serve, processor, another_processor):
    """And the wire's map as body."""
    web = serve([processor, another_processor])
    calls = [
        ({"method": "nonsense"}, 404),
        ({"method": "observe"}, 400),
        ({"method": "ping", "processor_id": "p3"}, 200),
        ({"method": "learn", "processor_id": "p3"}, 404),
    ]
    for message, status in calls:
        answer = web.post("/kato-api/call", {**message, "id": "x"}, Content_Type=JSON)
        assert answer.status == status
        assert answer.json["request_id"] == "x"
        assert answer.json["status"] == ("okay" if status == 200 else "error")


def test_a_bare_answer_stays_bare(serve, processor):
    """The genome has no status, and gets no request_id."""
    answer = serve(processor).post("/kato-api/call", {"method": "get_genome", "id": 1}, Content_Type=JSON)
    assert answer.json == processor.genes


def test_an_answer_the_codec_cannot_carry_is_a_500_that_says_so(serve):
    """In JSON: bytes."""
    web = serve({"bytes": lambda: {"value": b"x"}})
    assert web.post("/kato-api/call", {"method": "bytes"}, Content_Type=JSON).status == 500
    answer = web.request("POST", "/kato-api/call", msgpack.packb({"method": "bytes"}), Content_Type=MSGPACK)
    assert msgpack.unpackb(answer.data)["value"] == b"x"


def test_a_call_that_says_nothing_waits_as_long_as_the_gateway_does(gateway, scope):
    """Its own time counts where it says one."""
    behind = scope.enter_context(kt.serve(echo, "memory://", transport="memory"))
    web = gateway(lambda: kt.aconnect(behind.endpoint, transport="memory"), timeout_s=7.0)
    for given, taken in ((None, 7.0), (3.0, 3.0)):
        message = json.dumps({"method": "m", "timeout_s": given})
        assert web.request("POST", "/kato-api/call", message, Content_Type=JSON).json["timeout_s"] == pytest.approx(
            taken, abs=0.5
        )


def test_a_trace_in_the_headers_goes_on(serve):
    """W3C traceparent, for the KATO paths."""
    web = serve(lambda request: kt.Response.okay(gene_value=request.trace))
    assert web.get("/p/gene/x", traceparent="00-4bf9-00f0-01").json["message"] == "00-4bf9-00f0-01"
