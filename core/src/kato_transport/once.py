"""Running each call at most once, however many copies of it arrive: the server's side of `Request.once`.

A copy of a call that is under way waits for the same answer; a copy of one that was answered gets that answer again. The
part that decides is `protocol.replies`; here are the words, and who is answered with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

from kato_transport.contracts import Codec
from kato_transport.model import ErrorCode, Request, Response
from kato_transport.protocol.replies import CROWDED, FORGOTTEN, RUN, WAIT, Replies, Verdict

Sent = bytes | int
"""What an answer came to on the wire before it was compressed: its message, or, where that is not all of it, how many bytes."""

Reply = Callable[[Response], Sent]
"""Takes a request's answer."""

RESTARTED = Response.refusal("the server has restarted since; this call was not run by it", ErrorCode.RESTARTED)
_REFUSALS = {
    FORGOTTEN: Response.refusal("asked again too late: nobody knows any more whether it ran", ErrorCode.FORGOTTEN),
    CROWDED: Response.refusal("too many copies of this call wait for its answer", ErrorCode.BUSY),
}


class OnceOnly:
    """The calls of one server's life. `name` is that life: no other server has it, nor this one after a restart."""

    def __init__(self, codec: Codec, max_entries: int, max_bytes: int, max_age_s: float) -> None:
        self.name = os.urandom(8).hex()
        self._mine = self.name + "."
        self._codec = codec
        self._replies: Replies[Response | bytes, Reply] = Replies(max_entries, max_bytes, max_age_s)

    def first(self, request: Request, reply: Reply) -> Reply | None:
        """What to give the answer of this copy to, if it is the one to run; None where `reply` is seen to otherwise."""
        once = request.once
        kept = once.startswith(self._mine)
        if not kept and once[0] != ".":
            reply(RESTARTED)
            return None
        found = self._replies.begin(once, reply)
        if found is RUN:
            return partial(self._settle, request, reply, kept)
        if found is not WAIT:
            reply(_REFUSALS[found] if isinstance(found, Verdict) else self._unpacked(found))
        return None

    def stats(self) -> dict[str, int]:
        """Answers kept and their bytes; copies that were answered without running; answers let go of before their age."""
        replies = self._replies
        return {"kept": len(replies), "kept_bytes": replies.bytes, "repeats": replies.repeats, "evicted": replies.evicted}

    def _settle(self, request: Request, reply: Reply, kept: bool, answer: Response) -> Sent:
        sent = reply(answer)
        answer = answer.sent or answer  # one that is too large to be sent is too large to be kept
        waiting = self._keep(request, answer, sent) if kept and answer.ran else self._replies.release(request.once)
        for waiter in waiting[1:]:  # the first is `reply` itself
            waiter(answer)
        return sent

    def _keep(self, request: Request, answer: Response, sent: Sent) -> list[Reply]:
        """As its message, where that is the body and nothing else: objects take several times the memory of their bytes, and it
        is these that are bounded."""
        if isinstance(sent, int):
            return self._replies.settle(request.once, answer, sent, time.monotonic())
        message = sent if request.request_id is None else answer
        return self._replies.settle(request.once, message, len(sent), time.monotonic())

    def _unpacked(self, kept: Response | bytes) -> Response:
        return Response(self._codec.decode(kept)) if isinstance(kept, bytes) else kept
