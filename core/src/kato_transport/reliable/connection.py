"""What a client holds: one or several connections of a transport, and calls that survive over them.

Both classes are thin: the first copy of a call goes out directly, as nearly all calls end there; whatever else comes of it
is the course in `delivery.py`, driven here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, cast

from kato_transport import fork
from kato_transport.contracts import AsyncConnection, ClientOptions, Connection, MultiplexConnection
from kato_transport.errors import ClientClosed, ConnectFailed, TransportError
from kato_transport.model import Request, Response
from kato_transport.protocol.balance import Alone, Balance
from kato_transport.reliable.delivery import Ask, Course, Delivery, Pause, Site, is_answer, nobody_admits
from kato_transport.reliable.link import LOST, C, Link, Marks


class _Reliable(Generic[C]):
    """What both have in common: the links, and which one a call's first copy takes."""

    def __init__(self, connections: Sequence[tuple[str, C]], options: ClientOptions) -> None:
        self._links: list[Link[C]] = [
            Link(index, endpoint, connection, options, alone=len(connections) == 1)
            for index, (endpoint, connection) in enumerate(connections)
        ]
        self._options = options
        self._site = self._new_site()
        self._closed = False

    def stats(self) -> dict[str, Any]:
        """The transport's counters and the circuit of the endpoint; of each under `endpoints`, where there are several."""
        if len(self._links) == 1:
            return self._links[0].stats()
        outstanding = self._site.balance.outstanding
        return {"endpoints": {link.endpoint: {**link.stats(), "outstanding": outstanding[link.index]} for link in self._links}}

    def _new_site(self) -> Site[C]:
        breakers = [link.breaker for link in self._links]
        balance = Balance(breakers) if len(breakers) > 1 else Alone(breakers[0])
        return Site(
            self._links, balance, Marks(), self._options.connect_timeout_s, self._options.copies, self._options.compression
        )

    def _picked(self, now: float) -> Link[C] | None:
        """The link for a first copy; None where no circuit is closed."""
        index = self._site.balance.pick(now)
        return None if index is None else self._links[index]

    def _least_busy(self) -> Link[C]:
        """A link for copies that no others follow, counted as started; `ConnectFailed` where all circuits are open."""
        link = self._picked(time.monotonic())
        if link is None:
            raise nobody_admits(self._links)
        self._site.balance.started(link.index)
        return link

    def _judged(self, link: Link[C], outcome: Response | BaseException) -> None:
        """What a copy that is not followed by another says of its link."""
        if isinstance(outcome, Response):
            link.heard()
        elif isinstance(outcome, LOST):
            link.missed(outcome)


class ReliableConnection(_Reliable[Connection]):
    """A `Connection`, and a `MultiplexConnection` where the transport's is one; safe to be shared by threads."""

    def __init__(self, connections: Sequence[tuple[str, Connection]], options: ClientOptions) -> None:
        super().__init__(connections, options)
        self._ended = threading.Event()
        fork.watch(self)

    def request(self, request: Request) -> Response:
        """As `Connection.request`, once nothing more can be done: busy servers and lost connections are tried again within
        the call's time, wherever that does no harm."""
        started, balance = time.monotonic(), self._site.balance
        link = self._picked(started)
        if link is None or (link.server is None and self._site.asks(request)):
            return self._driven(Delivery(self._site, request, started, link).course())
        balance.started(link.index)
        sent = link.copy(request, self._site.marks, request.timeout_s, self._site.copies)
        outcome: Response | TransportError
        try:
            outcome = link.connection.request(sent)
        except TransportError as exc:
            outcome = exc
        finally:
            balance.ended(link.index)
        if isinstance(outcome, Response) and is_answer(outcome):
            link.heard()
            return outcome
        return self._driven(Delivery(self._site, request, started).after(link, sent, outcome))

    def once(self, request: Request) -> Response:
        """What came of one copy: nothing is tried again, and no time is spared for that."""
        link = self._least_busy()
        try:
            response = link.connection.request(link.copy(request, self._site.marks, request.timeout_s, 1))
        except LOST as exc:
            link.missed(exc)
            raise
        finally:
            self._site.balance.ended(link.index)
        link.heard()
        return response

    @property
    def multiplexes(self) -> bool:
        """Whether `submit` and `request_many` are there."""
        return all(hasattr(link.connection, "submit") for link in self._links)

    def submit(self, request: Request) -> Future[Response]:
        """As `MultiplexConnection.submit`: one copy, over the link that is the least busy."""
        try:
            link = self._least_busy()
        except ConnectFailed as exc:
            return _failed(exc)
        sent = link.copy(request, self._site.marks, request.timeout_s, 1)
        try:
            answered = cast("MultiplexConnection", link.connection).submit(sent)
        except BaseException:
            self._site.balance.ended(link.index)
            raise
        answered.add_done_callback(lambda done: self._settled(link, done))
        return answered

    def request_many(self, requests: Sequence[Request]) -> list[Response | Exception]:
        """As `MultiplexConnection.request_many`: one copy of each, all over one link."""
        try:
            link = self._least_busy()
        except ConnectFailed as exc:
            return [exc] * len(requests)
        marks = self._site.marks
        try:
            sent = [link.copy(request, marks, request.timeout_s, 1) for request in requests]
            outcomes = cast("MultiplexConnection", link.connection).request_many(sent)
        finally:
            self._site.balance.ended(link.index)
        if any(isinstance(outcome, Response) for outcome in outcomes):
            link.heard()
        else:
            failures = [outcome for outcome in outcomes if isinstance(outcome, LOST)]
            if failures:
                link.missed(failures[0])
        return outcomes

    def close(self) -> None:
        self._closed = True
        self._ended.set()
        for link in self._links:
            link.connection.close()

    def after_fork_in_child(self) -> None:
        """The child is another client: its calls have marks of their own, and its locks are free."""
        self._ended = threading.Event()
        if self._closed:
            self._ended.set()
        for link in self._links:
            link.renew()
        self._site = self._new_site()

    def _settled(self, link: Link[Connection], done: Future[Response]) -> None:
        self._site.balance.ended(link.index)
        if not done.cancelled():
            self._judged(link, done.exception() or done.result())

    def _driven(self, course: Course) -> Response:
        """Do what the course asks for, until it ends."""
        try:
            step = next(course)
            while True:
                try:
                    outcome = self._done(step)
                except TransportError as exc:
                    step = course.throw(exc)
                else:
                    step = course.send(outcome)
        except StopIteration as ended:
            return cast("Response", ended.value)

    def _done(self, step: Ask[Any] | Pause) -> Response | None:
        if isinstance(step, Ask):
            answer: Response = step.link.connection.request(step.request)
            return answer
        if self._ended.wait(step.seconds):
            raise ClientClosed(f"the client of {self._links[0].endpoint} was closed before the answer came")
        return None


class AsyncReliableConnection(_Reliable[AsyncConnection]):
    """The same as an `AsyncConnection`; belongs to the event loop of its connections."""

    def __init__(self, connections: Sequence[tuple[str, AsyncConnection]], options: ClientOptions) -> None:
        super().__init__(connections, options)
        self._ended = asyncio.Event()

    async def request(self, request: Request) -> Response:
        """As `ReliableConnection.request`."""
        started, balance = time.monotonic(), self._site.balance
        link = self._picked(started)
        if link is None or (link.server is None and self._site.asks(request)):
            return await self._driven(Delivery(self._site, request, started, link).course())
        balance.started(link.index)
        sent = link.copy(request, self._site.marks, request.timeout_s, self._site.copies)
        outcome: Response | TransportError
        try:
            outcome = await link.connection.request(sent)
        except TransportError as exc:
            outcome = exc
        finally:
            balance.ended(link.index)
        if isinstance(outcome, Response) and is_answer(outcome):
            link.heard()
            return outcome
        return await self._driven(Delivery(self._site, request, started).after(link, sent, outcome))

    async def once(self, request: Request) -> Response:
        """As `ReliableConnection.once`."""
        link = self._least_busy()
        try:
            response = await link.connection.request(link.copy(request, self._site.marks, request.timeout_s, 1))
        except LOST as exc:
            link.missed(exc)
            raise
        finally:
            self._site.balance.ended(link.index)
        link.heard()
        return response

    async def close(self) -> None:
        self._closed = True
        self._ended.set()
        for link in self._links:
            await link.connection.close()

    async def _driven(self, course: Course) -> Response:
        try:
            step = next(course)
            while True:
                try:
                    outcome = await self._done(step)
                except TransportError as exc:
                    step = course.throw(exc)
                else:
                    step = course.send(outcome)
        except StopIteration as ended:
            return cast("Response", ended.value)
        finally:
            course.close()  # a cancelled call counts as outstanding no longer

    async def _done(self, step: Ask[Any] | Pause) -> Response | None:
        if isinstance(step, Ask):
            answer: Response = await step.link.connection.request(step.request)
            return answer
        with suppress(TimeoutError):
            async with asyncio.timeout(step.seconds):
                await self._ended.wait()
            raise ClientClosed(f"the client of {self._links[0].endpoint} was closed before the answer came")
        return None


def _failed(error: Exception) -> Future[Response]:
    failed: Future[Response] = Future()
    failed.set_exception(error)
    return failed
