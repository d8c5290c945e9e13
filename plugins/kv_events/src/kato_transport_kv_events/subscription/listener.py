"""A bound live socket that engines connect to, shared by all sources of its endpoint.

Each batch carries the file descriptor of the connection that it came over (`ZMQ_SRCFD`), and the monitor tells when a
descriptor is given up and given out again: so each source knows when its own engine's connection ended, whatever the
others do.
"""

from __future__ import annotations

import logging

import zmq
from attrs import frozen

from kato_transport import InvalidSetting
from kato_transport.zeromq import bound_endpoint, monitor_socket, readable, server_socket
from kato_transport_kv_events.subscription.feed import Feed
from kato_transport_kv_events.subscription.frames import Live, Malformed, receive_live_with_connection
from kato_transport_kv_events.subscription.limits import Limits
from kato_transport_kv_events.subscription.loop import Loop
from kato_transport_kv_events.subscription.monitor import ACCEPTED, CLOSED, DOWN, told, wait_for

BURST = 256
SILENT_S = 5.0
"""Silence after which a source's connection gives way to another that has its topic and rank."""
UNBIND_S = 1.0
"""How long closing waits for the port to be free."""
MOST_ROUTES = 4096
"""Topics remembered; whoever makes up new ones all the time fills no memory."""

log = logging.getLogger("kato_transport.kv_events")

Connection = tuple[int, int]
"""A file descriptor, and how often it had been given out."""


@frozen(kw_only=True)
class ListenerStats:
    """A bound endpoint at one moment."""

    endpoint: str
    unrouted: int
    """Batches that no source asks for, or that a second engine sends under a source's topic and rank."""
    malformed: int
    """Messages that are no batches."""


class Listener:
    """Bound from its making until its last source is released; lives on the loop's thread."""

    def __init__(self, loop: Loop, endpoint: str, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._feeds: list[Feed] = []
        self._connections: dict[Feed, Connection] = {}
        self._times_given: dict[int, int] = {}
        self._routes: dict[bytes, list[Feed]] = {}
        self._closed = False
        self._unrouted = 0
        self._malformed = 0
        patience = {name: value for name, value in limits.patience().items() if name.startswith("tcp_")}
        self._socket = server_socket(
            zmq.SUB, endpoint, limits.max_message_bytes, rcvhwm=limits.receive_high_water_mark, **patience
        )
        self._monitor = monitor_socket(self._socket, ACCEPTED | DOWN | CLOSED)
        self.asked_for = endpoint
        self.endpoint = bound_endpoint(self._socket)
        loop.watch(self._socket, self.visit)
        loop.watch(self._monitor, self.visit)

    @property
    def is_used(self) -> bool:
        return bool(self._feeds)

    def serve(self, feed: Feed) -> None:
        """Tell this source, too; `InvalidSetting` where another has the same topic and rank, unless it takes its place."""
        for other in self._feeds:
            if other.source.pod == feed.source.pod:
                continue
            if (other.source.topic, other.source.rank) == (feed.source.topic, feed.source.rank):
                raise InvalidSetting(
                    f"source {feed.source.pod!r}: {other.source.pod!r} has the same topic and rank at {self.endpoint}; "
                    "sources that share a bound endpoint are told apart by these"
                )
        self._feeds.append(feed)
        self._routes.clear()
        self._socket.subscribe(feed.source.topic)

    def release(self, feed: Feed) -> None:
        """Tell it no more; nobody listens once there is nobody to tell."""
        self._feeds.remove(feed)
        self._connections.pop(feed, None)
        self._routes.clear()
        if self._feeds:
            self._socket.unsubscribe(feed.source.topic)
        else:
            self._close()

    def stats(self) -> ListenerStats:
        return ListenerStats(endpoint=self.endpoint, unrouted=self._unrouted, malformed=self._malformed)

    def catch_up(self, now: float) -> None:
        """Tell of everything that is there to be read."""
        for _ in range(self._limits.receive_high_water_mark // BURST + 1):
            if not self.visit(now):
                return

    def visit(self, now: float) -> bool:
        if self._closed:
            return False
        burst = self._burst()
        gone, unclear = self._read_monitor()
        self._tell(now, burst, unclear)
        if gone:
            while self.is_used and (burst := self._burst()):
                self._tell(now, burst, unclear)
            self._end_connections(now, gone)
        if not self.is_used:  # a handler had the last source released
            return False
        return len(burst) == BURST or readable(self._socket) or readable(self._monitor)

    # --- inside -------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        self._closed = True
        self._loop.forget(self._socket, self.visit)
        self._loop.forget(self._monitor, self.visit)
        self._socket.close(linger=0)
        wait_for(self._monitor, CLOSED, UNBIND_S)
        self._monitor.close()

    def _burst(self) -> list[tuple[int, Live]]:
        burst: list[tuple[int, Live]] = []
        while len(burst) < BURST:
            try:
                burst.append(receive_live_with_connection(self._socket))
            except zmq.Again:
                break
            except Malformed:
                self._malformed += 1
                self._complain(self._malformed, "messages that are no batches")
        return burst

    def _unroutable(self, topic: bytes) -> None:
        self._unrouted += 1
        self._complain(self._unrouted, f"batches that are no source's, the last of topic {topic[:64]!r}")

    def _complain(self, count: int, what: str) -> None:
        if not count & (count - 1):  # the first, second, fourth, …
            log.warning("%s: %d %s", self.endpoint, count, what)

    def _read_monitor(self) -> tuple[set[int], set[int]]:
        """The descriptors given up, and those of them given out again: what is unread of these is nobody knows whose."""
        gone: set[int] = set()
        unclear: set[int] = set()
        for event, descriptor in told(self._monitor):
            if event == DOWN:
                gone.add(descriptor)
            elif event == ACCEPTED:
                self._times_given[descriptor] = self._times_given.get(descriptor, 0) + 1
                if descriptor in gone:
                    unclear.add(descriptor)
        return gone, unclear

    def _tell(self, now: float, burst: list[tuple[int, Live]], unclear: set[int]) -> None:
        for descriptor, (topic, sequence, payload) in burst:
            feed = self._feed_of(topic, payload)
            if feed is None:
                self._unroutable(topic)
            elif descriptor in unclear:
                feed.tally.discarded += 1
            elif self._is_connection_of(feed, (descriptor, self._times_given.get(descriptor, 0)), now):
                feed.live(now, topic, sequence, payload)
            else:
                self._unroutable(topic)

    def _is_connection_of(self, feed: Feed, connection: Connection, now: float) -> bool:
        """Whether a batch of this connection is the source's; the first one, and a new one once the old is silent, are."""
        known = self._connections.get(feed)
        if known == connection:
            return True
        if known is not None:
            if now < feed.heard_at + SILENT_S:
                return False
            feed.disconnected(now)
        self._connections[feed] = connection
        feed.connected(now)
        return True

    def _end_connections(self, now: float, gone: set[int]) -> None:
        for feed, (descriptor, _) in list(self._connections.items()):
            if descriptor in gone:
                del self._connections[feed]
                feed.disconnected(now)

    def _feed_of(self, topic: bytes, payload: bytes) -> Feed | None:
        feeds = self._routes.get(topic)
        if feeds is None:
            feeds = self._route(topic)
        if len(feeds) == 1:
            return feeds[0]
        rank = rank_of(payload)
        return next((feed for feed in feeds if feed.source.rank == rank), None)

    def _route(self, topic: bytes) -> list[Feed]:
        """The sources with the longest prefix of the topic."""
        if len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
        fitting = [feed for feed in self._feeds if topic.startswith(feed.source.topic.encode())]
        longest = max((len(feed.source.topic) for feed in fitting), default=0)
        feeds = self._routes[topic] = [feed for feed in fitting if len(feed.source.topic) == longest]
        return feeds


def rank_of(payload: bytes) -> int:
    """The rank at the end of a batch, up to 255, without decoding what comes before; 0 where there is none."""
    if len(payload) < 3 or payload[0] != 0x93:
        return 0
    if payload[-1] < 0x80:
        return payload[-1]
    return payload[-1] if payload[-2] == 0xCC else 0
