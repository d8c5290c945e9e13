"""Many calls in one message: the method `batch`, which every server answers itself.

Its params are `{"calls": [{"method", "params", "processor_id"}, …]}`, its answer is `{"answers": […]}`, each item what the call
alone would have been answered with, errors among them. A batch is one request: one deadline, one place in the queue for each
of its lanes, and one entry among the answers kept for repeats.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kato_transport.buffers import told
from kato_transport.errors import RemoteError, RemoteProtocolError, ServiceError, TransportError
from kato_transport.model import ErrorCode, Request, Response
from kato_transport.once import Reply
from kato_transport.wire import BadRequest, request_from_map

BATCH: Final = "batch"

MOST_CALLS = 1000

Item = tuple[int, Request]
"""A call of a batch, and its place."""


class Batch:
    """A batch under way at a server: its calls until they are taken, and their answers; gives the whole answer to `reply`
    with the last of them. Safe to be used from several threads.

    `ServiceError` where the request holds no list of calls, or too long a one.
    """

    def __init__(self, request: Request, reply: Reply) -> None:
        calls = request.params.get("calls")
        if not isinstance(calls, list) or len(calls) > MOST_CALLS:
            given = f"{len(calls)} calls" if isinstance(calls, list) else told(calls)
            raise ServiceError(f"batch: calls must be a list of at most {MOST_CALLS} calls, not {given}")
        self._request = request
        self._calls = calls
        self._reply = reply
        self._answers: list[Response | None] = [None] * len(calls)
        self._left = len(calls)
        self._lock = threading.Lock()

    def lanes(self, lane: Callable[[Request], str]) -> dict[str, deque[Item]]:
        """The calls of each lane in their order; what is no call is answered at once, and so is an empty batch."""
        if not self._calls:
            self._finish([])
        lanes: dict[str, deque[Item]] = {}
        for index, fields in enumerate(self._calls):
            try:
                call = self._call(fields)
            except BadRequest as exc:
                self.answer(index, Response.refusal(exc.message, exc.code))
            else:
                lanes.setdefault(lane(call), deque()).append((index, call))
        return lanes

    def answer(self, index: int, answer: Response) -> None:
        """Take the answer of one call; the last one ends the batch."""
        with self._lock:
            self._answers[index] = answer
            self._left -= 1
            if self._left:
                return
        self._finish([answer for answer in self._answers if answer is not None])

    def _call(self, fields: Any) -> Request:
        if not isinstance(fields, dict):
            raise BadRequest(f"a call of a batch must be a map with method and params, not {told(fields)}")
        if fields.get("method") == BATCH:
            raise BadRequest("a batch cannot hold another batch; put its calls in this one")
        whole = self._request
        shared = {"processor_id": whole.processor_id, "timeout_s": whole.timeout_s, "trace": whole.trace}
        own = {name: fields[name] for name in ("method", "params", "processor_id") if fields.get(name) is not None}
        return request_from_map({**shared, **own}, whole.framing)

    def _finish(self, answers: list[Response]) -> None:
        """Where none of it was run for want of room, it was refused as a whole, and may be asked again as a whole."""
        busy = [answer for answer in answers if not answer.ran and answer.body.get("code") == ErrorCode.BUSY]
        if busy and len(busy) == len(answers):
            self._reply(busy[0])
            return
        items = [answer.body if isinstance(answer.body, dict) else dict(answer.body) for answer in answers]
        self._reply(Response({"status": "okay", "answers": items}, ran=any(answer.ran for answer in answers)))


def batch_params(calls: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """A batch's params, as a client sends them."""
    return {"calls": [{"method": method, "params": dict(params)} for method, params in calls]}


def batch_items(answer: Response, params: Mapping[str, Any]) -> list[dict[str, Any] | TransportError]:
    """The items of a batch's answer, each a map or the error it stands for; `RemoteError` where the batch was refused."""
    calls = params["calls"]
    try:
        answers = answer.result(BATCH).get("answers")
    except RemoteError as exc:
        if exc.code == ErrorCode.UNKNOWN_METHOD or exc.message.startswith("Unknown method"):  # old servers give no code
            text = "this server takes no batches; use call_many, which sends a message for each call"
            raise RemoteError(BATCH, text, ErrorCode.UNKNOWN_METHOD) from exc
        raise
    if not isinstance(answers, list) or len(answers) != len(calls) or not all(isinstance(item, dict) for item in answers):
        raise RemoteProtocolError(f"batch: expected {len(calls)} answers, not {told(answers)}")
    return [_item(call["method"], item) for call, item in zip(calls, answers, strict=True)]


def _item(method: str, body: dict[str, Any]) -> dict[str, Any] | TransportError:
    try:
        return Response(body).result(method)
    except RemoteError as exc:
        return exc
