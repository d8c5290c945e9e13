"""Calls that survive: copies of a call that can do no harm, fail-over between endpoints, and a breaker for each.

`connection.py` is what a client holds; `delivery.py` is one call's course, written once for threads and asyncio; `link.py`
is what is known of one endpoint; `policy.py` says what may be sent again, and when.
"""

from __future__ import annotations

from kato_transport.reliable.connection import AsyncReliableConnection, ReliableConnection

__all__ = ["AsyncReliableConnection", "ReliableConnection"]
