"""The exceptions KATO's users catch, each also one of this library's.

A call that ran out of time is the core's `CallTimeout`, which is a `TimeoutError` already.
"""

from __future__ import annotations

from kato_transport.errors import TransportError


class ServerError(TransportError):
    """The server answered with an error: `Server error: ` and its message; the cause carries method and code."""


class Unreachable(TransportError, ConnectionError, TimeoutError):
    """Nobody listens there, or the connection broke; the original noticed neither, and waited until its time was over."""


class PoolExhausted(TransportError, TimeoutError, RuntimeError):
    """No connection of a pool came free in time."""
