"""KATO's own names, with their signatures, exceptions and statistics, on top of this library's transports.

For code written against the original's clients, pools, switch and gateway: change the import, keep the rest. Times are
in milliseconds here, as they were there.
"""

from __future__ import annotations

from kato_transport.compat.clients import ImprovedZMQClient, ZMQClient
from kato_transport.compat.errors import PoolExhausted, ServerError, Unreachable
from kato_transport.compat.gateway import RestGateway
from kato_transport.compat.global_pools import (
    cleanup_global_pool,
    cleanup_improved_pool,
    get_global_pool,
    get_improved_pool,
    set_global_pool,
    set_improved_pool,
)
from kato_transport.compat.improved_pool import ImprovedConnectionPool
from kato_transport.compat.switch import ZMQClientFactory, get_zmq_client, get_zmq_implementation, get_zmq_server
from kato_transport.compat.thread_pool import ZMQConnectionPool

__all__ = [
    "ImprovedConnectionPool",
    "ImprovedZMQClient",
    "PoolExhausted",
    "RestGateway",
    "ServerError",
    "Unreachable",
    "ZMQClient",
    "ZMQClientFactory",
    "ZMQConnectionPool",
    "cleanup_global_pool",
    "cleanup_improved_pool",
    "get_global_pool",
    "get_improved_pool",
    "get_zmq_client",
    "get_zmq_implementation",
    "get_zmq_server",
    "set_global_pool",
    "set_improved_pool",
]
