"""What is not KATO's: any method over HTTP in the wire's own maps, and the questions of an orchestrator."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from starlette.responses import Response

from kato_transport.compression import Inflated, decompressed
from kato_transport.errors import DecodeError
from kato_transport.http.answers import Refusal, encoded
from kato_transport.http.upstream import ask
from kato_transport.kato.methods import IDEMPOTENT
from kato_transport.model import ErrorCode, Request
from kato_transport.wire import BadRequest, request_from_map
from kato_transport_rest.answers import error_code, status_of
from kato_transport_rest.exchange import Exchange

_READY_WITHIN_S = 2.0
_NOT_READY = (ErrorCode.UNAVAILABLE, ErrorCode.DEADLINE_EXCEEDED, ErrorCode.BUSY)


async def call(exchange: Exchange) -> Response:
    """A request's wire map in, its answer's wire map out, in the same content type."""
    content_type = exchange.header(b"content-type").partition(";")[0].strip().lower()
    codec = exchange.site.codecs.get(content_type)
    if codec is None:
        allowed = ", ".join(exchange.site.codecs)
        message = f"content type {content_type!r} is not read here; expected one of: {allowed}"
        raise Refusal(415, message, "unsupported_media_type", {"accept-post": allowed})
    data, limit = await exchange.body(), exchange.site.max_message_bytes
    try:
        request = _request(codec.decode(decompressed(data, limit)), exchange.site.timeout_s)
    except Inflated as exc:
        raise Refusal(413, str(exc), ErrorCode.TOO_LARGE) from exc
    except DecodeError as exc:
        return encoded(BadRequest(f"the body is {exc}").answer.body, 400, codec)
    except BadRequest as exc:
        return encoded(_named(exc.answer.body, exc.request_id), 400, codec)
    answer = await ask(exchange.site.upstream, request)
    if answer.is_error:
        exchange.site.processors.heed(error_code(answer.body))
    return encoded(_named(answer.body, request.request_id), status_of(answer), codec, accept=request.accept)


async def alive(exchange: Exchange) -> dict[str, Any]:
    """This process answers."""
    return {"status": "okay"}


async def ready(exchange: Exchange) -> dict[str, Any]:
    """The upstream answers, too; a basic server that knows no ping is there all the same."""
    within_s = min(exchange.site.timeout_s, _READY_WITHIN_S)
    pong = await ask(exchange.site.upstream, Request("ping", timeout_s=within_s, idempotent=True))
    if pong.is_error and error_code(pong.body) in _NOT_READY:
        raise Refusal(503, str(pong.body.get("message", "")), error_code(pong.body))
    return {"status": "okay"}


def _request(message: Any, timeout_s: float) -> Request:
    if not isinstance(message, dict):
        raise BadRequest(f"the body is a {type(message).__name__}; expected a map with method and params")
    if message.get("timeout_s") is None:
        message["timeout_s"] = timeout_s
    request = request_from_map(message)
    return evolve(request, idempotent=True) if request.method in IDEMPOTENT else request


def _named(body: Any, request_id: Any) -> Any:
    """The answer with its request's id, unless it is a bare map."""
    return body if request_id is None or "status" not in body else {**body, "request_id": request_id}
