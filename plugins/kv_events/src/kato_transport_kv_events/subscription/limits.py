"""What the sockets of one manager are allowed, and how patient they are."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen, validators

_count: list[Any] = [validators.instance_of(int), validators.ge(1)]


@frozen(kw_only=True)
class Limits:
    """Bounds for all sources of a manager."""

    max_sources: int = field(default=4096, validator=_count)
    """Data-parallel ranks counted one by one."""
    max_rounds: int = field(default=32, validator=_count)
    """Replays under way at once; one more waits for its turn."""
    max_message_bytes: int = field(default=64 * 1024 * 1024, validator=_count)
    """A larger message ends its connection."""
    receive_high_water_mark: int = field(default=10_000, validator=_count)
    """Live batches that libzmq keeps for a source; beyond, the engine keeps or drops them. Replays have no such mark, as
    engines lose answers to it."""
    handler_queue: int = field(default=100_000, validator=_count)
    """Events that wait for a handler; what comes beyond is told to it as lost."""
    reconnect_ms: int = field(default=100, validator=_count)
    """Wait between two attempts to connect; doubles up to the longest."""
    longest_reconnect_ms: int = field(default=5_000, validator=_count)
    connect_timeout_ms: int = field(default=5_000, validator=_count)
    """How long an attempt may take."""

    def patience(self) -> dict[str, int]:
        """Socket options; a lost host is found by TCP keep-alive, as heartbeats abort libzmq 4.3.5 (issues 3937, 4767)."""
        return {
            "reconnect_ivl": self.reconnect_ms,
            "reconnect_ivl_max": self.longest_reconnect_ms,
            "connect_timeout": self.connect_timeout_ms,
            "tcp_keepalive_idle": 20,
            "tcp_keepalive_intvl": 5,
            "tcp_keepalive_cnt": 3,
        }
