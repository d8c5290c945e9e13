"""One call's course: which copy goes where, and what its failures mean. Written once, for threads and for asyncio.

The course is a generator of steps, `Ask` and `Pause`; whoever drives it does the waiting and sends the outcome back. What
decides between sending again and giving up is what may have happened so far:

* nothing was sent (`ConnectFailed`), or nothing was run (`ServerBusy`): another copy, to any endpoint;
* a copy may have run, and the method is idempotent: another copy, to any endpoint;
* a copy may have run, and the server it went to runs no call twice: another copy, to that server's life only;
* a copy may have run, otherwise: the call ends with the failure that says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from typing import Any, Final, Generic

from attrs import frozen
from tenacity import DoAttempt, DoSleep, RetryCallState

from kato_transport.errors import CallTimeout, ConnectFailed, ConnectionLost, ServerBusy, TransportError
from kato_transport.model import ErrorCode, Request, Response
from kato_transport.protocol.balance import Alone, Balance
from kato_transport.reliable.link import LEAST_WAIT_S, LOST, C, Link, Marks
from kato_transport.reliable.policy import retrying

PING: Final = "ping"
_REFUSED = (ErrorCode.BUSY, ErrorCode.RESTARTED, ErrorCode.FORGOTTEN)
"""Answers that are not the call's."""


@frozen
class Ask(Generic[C]):
    """Send the request over the link; the outcome is its response, or what the connection raised."""

    link: Link[C]
    request: Request


@frozen
class Pause:
    """Wait."""

    seconds: float


Course = Generator[Ask[Any] | Pause, Any, Response]


@frozen
class Site(Generic[C]):
    """What all calls of a client share."""

    links: Sequence[Link[C]]
    balance: Alone | Balance
    marks: Marks
    connect_timeout_s: float
    copies: int
    """Copies of a call that share its time, where the server runs none twice; 1: no call is sent again."""
    compression: str

    def asks(self, request: Request) -> bool:
        """Whether a server has to say who it is before it is sent the request: only some run nothing twice, or unpack it."""
        return bool(self.compression) or (self.copies > 1 and not request.idempotent)


class Delivery(Generic[C]):
    """The course of one call; every failure it ends with says whether the call may have run."""

    def __init__(self, site: Site[C], request: Request, started: float, link: Link[C] | None = None) -> None:
        self._site = site
        self._request = request
        self._deadline = started + request.timeout_s
        self._connect_by = started + min(site.connect_timeout_s, request.timeout_s)
        self._copies = 0
        self._chosen = link
        """The link that has been picked for the first copy."""
        self._once = request.once
        self._bound: Link[C] | None = None
        """The link whose server alone may be sent another copy, as it may have run one."""
        self._unknown: TransportError | None = None
        """The failure since which nobody knows whether the call ran."""
        self._nobody: ConnectFailed | None = None
        self._over = False

    def course(self) -> Course:
        """The whole call."""
        return self._until_answered(self._copy())

    def after(self, link: Link[C], sent: Request, outcome: Response | TransportError) -> Course:
        """The rest of a call whose first copy came out like that."""
        self._copies = 1
        return self._until_answered(self._sent(link, sent, outcome))

    # --- the retry loop -----------------------------------------------------------------------------------------

    def _until_answered(self, first_copy: Course) -> Course:
        try:
            return (yield from first_copy)
        except TransportError as exc:
            failed = exc
        if not self._may_repeat(failed) or self._left_s(failed) <= 0:
            return self._end(failed)
        return (yield from self._again(failed))

    def _again(self, failed: TransportError | None) -> Course:
        policy = retrying(self._may_repeat, self._left_s)
        state = RetryCallState(policy, None, (), {})
        policy.begin()
        while True:
            try:
                step = policy.iter(state)
            except TransportError as exc:
                return self._end(exc)
            if isinstance(step, DoAttempt):
                try:
                    if failed is not None:
                        raise failed
                    state.set_result((yield from self._copy()))
                except TransportError:
                    state.set_exception(sys.exc_info())  # type: ignore[arg-type]
                failed = None
            elif isinstance(step, DoSleep):
                state.prepare_for_next_attempt()
                yield Pause(step)
            else:
                return step  # type: ignore[no-any-return]

    def _may_repeat(self, failure: BaseException) -> bool:
        if self._over or self._site.copies == 1:
            return False
        if isinstance(failure, (ConnectFailed, ServerBusy)):
            return True
        if not isinstance(failure, LOST):
            return False
        nothing_was_sent = self._unknown is None
        return nothing_was_sent or self._request.idempotent or self._bound is not None

    def _left_s(self, failure: BaseException) -> float:
        """Where nobody is there, the call waits no longer than for a connection: from its start, or since it was lost."""
        return (self._connect_by if isinstance(failure, ConnectFailed) else self._deadline) - time.monotonic()

    def _end(self, failure: TransportError) -> Response:
        """The failure that tells the whole truth: the last one may have been harmless, and an earlier one not."""
        told = failure if self._over else self._unknown or failure
        if isinstance(told, CallTimeout):
            raise CallTimeout(self._request.method, self._request.timeout_s, told.endpoint, self._copies) from failure
        if isinstance(told, ServerBusy):
            return Response.refusal(told.message, told.code)
        raise told

    # --- one copy -----------------------------------------------------------------------------------------------

    def _copy(self) -> Course:
        """Send a copy; where a link has no connection, try the next one at once."""
        tried: set[int] = set()
        while True:
            link = self._bound or self._picked(tried)
            try:
                return (yield from self._over_link(link))
            except ConnectFailed as exc:
                self._nobody = exc
                if self._bound is not None or len(tried) == len(self._site.links):
                    raise

    def _picked(self, tried: set[int]) -> Link[C]:
        if self._chosen is not None:
            link, self._chosen = self._chosen, None
            tried.add(link.index)
            return link
        index = self._site.balance.pick(time.monotonic(), tried)
        if index is None:
            raise self._nobody or nobody_admits(self._site.links)
        tried.add(index)
        return self._site.links[index]

    def _over_link(self, link: Link[C]) -> Course:
        balance = self._site.balance
        balance.started(link.index)
        try:
            if link.server is None and (self._site.asks(self._request) or self._copies):
                yield from self._introduced(link)
            sent = self._next_copy(link)
            self._copies += 1
            try:
                outcome: Response | TransportError = yield Ask(link, sent)
            except TransportError as exc:
                outcome = exc
        finally:
            balance.ended(link.index)
        return self._judged(link, sent, outcome)

    def _introduced(self, link: Link[C]) -> Generator[Ask[Any], Any, None]:
        """Ask who is there; nothing of the call has been sent by that, and it may be asked again."""
        method, timeout_s = self._request.method, self._request.timeout_s
        wait_s = max(min(self._deadline - time.monotonic(), timeout_s / self._site.copies), LEAST_WAIT_S)
        try:
            link.learn((yield Ask(link, Request(PING, timeout_s=wait_s, idempotent=True))))
        except ConnectFailed:
            link.lost()
            raise
        except CallTimeout as exc:
            link.lost()
            raise CallTimeout(method, timeout_s, link.endpoint) from exc
        except ConnectionLost as exc:
            link.lost()
            self._connect_by = self._deadline  # there was a connection: it is no longer that which is waited for
            raise ConnectFailed(f"{method}: {link.endpoint} did not answer; nothing was sent") from exc

    def _next_copy(self, link: Link[C]) -> Request:
        site, left_s = self._site, max(self._deadline - time.monotonic(), LEAST_WAIT_S)
        if self._bound is not None and not self._once.startswith(f"{link.server}."):
            raise self._lost_track(link, "has restarted")
        return link.copy(self._request, site.marks, left_s, site.copies, self._once)

    def _sent(self, link: Link[C], sent: Request, outcome: Response | TransportError) -> Course:
        yield from ()
        return self._judged(link, sent, outcome)

    # --- what came of it ----------------------------------------------------------------------------------------

    def _judged(self, link: Link[C], sent: Request, outcome: Response | TransportError) -> Response:
        """The answer, or the failure raised; what it says of the link and of the call is kept."""
        if isinstance(outcome, Response):
            link.heard()
            return outcome if is_answer(outcome) else self._refused(link, outcome)
        if isinstance(outcome, LOST):
            link.missed(outcome)  # after a timeout the next copy asks who is there
        if isinstance(outcome, (CallTimeout, ConnectionLost)):
            self._unknown, self._once = outcome, sent.once
            self._connect_by = min(self._deadline, time.monotonic() + self._site.connect_timeout_s)
            if not self._request.idempotent and sent.once:
                self._bound = link
        raise outcome

    def _refused(self, link: Link[C], refusal: Response) -> Response:
        code, message = str(refusal.body["code"]), str(refusal.body.get("message", ""))
        if code == ErrorCode.BUSY:
            raise ServerBusy(self._request.method, message, code)
        link.forget()
        if self._request.once:  # made for somebody else, who has to know
            return refusal
        if code == ErrorCode.FORGOTTEN or self._unknown is not None:
            raise self._lost_track(link, message)
        raise ServerBusy(self._request.method, message, code)

    def _lost_track(self, link: Link[C], why: str) -> ConnectionLost:
        self._over = True
        return ConnectionLost(f"{self._request.method}: {link.endpoint}: {why}; an earlier copy may have run")


def nobody_admits(links: Sequence[Link[Any]]) -> ConnectFailed:
    """What a call ends with while the circuit of every endpoint is open."""
    return ConnectFailed(f"{', '.join(link.endpoint for link in links)}: failed too often of late; nothing was sent")


def is_answer(response: Response) -> bool:
    """Whether it is the call's answer, and not a refusal of this copy."""
    body = response.body
    return body.get("status") != "error" or body.get("code") not in _REFUSED
