"""What ZeroMQ transports share: the context, sockets with this library's options, and kept client sockets.

Needs pyzmq, which core does not install by itself: a plugin that imports this depends on it.
"""

from __future__ import annotations

from kato_transport.zeromq.channel import Channel
from kato_transport.zeromq.context import current_context
from kato_transport.zeromq.frames import NOW, WRITABLE, events, readable, receive, send_now
from kato_transport.zeromq.pool import ChannelPool
from kato_transport.zeromq.sockets import (
    bound_endpoint,
    client_socket,
    close_monitored,
    close_server,
    descriptor,
    knock,
    monitor_socket,
    open_back_door,
    server_socket,
)
from kato_transport.zeromq.uncopied import uncopied

__all__ = [
    "NOW",
    "WRITABLE",
    "Channel",
    "ChannelPool",
    "bound_endpoint",
    "client_socket",
    "close_monitored",
    "close_server",
    "current_context",
    "descriptor",
    "events",
    "knock",
    "monitor_socket",
    "open_back_door",
    "readable",
    "receive",
    "send_now",
    "server_socket",
    "uncopied",
]
