"""What the batches of one source mean: order, gaps, replays, restarts and trust, without sockets, threads or clocks."""

from __future__ import annotations

from kato_transport_kv_events.stream.actions import Action, Apply, Ask, Begin, Forget, Lost, Note, Quit, Reason
from kato_transport_kv_events.stream.counts import Counts
from kato_transport_kv_events.stream.life import Checkpoint
from kato_transport_kv_events.stream.machine import SourceStream
from kato_transport_kv_events.stream.settings import Policy, StreamSettings
from kato_transport_kv_events.stream.trust import Flaw, State

__all__ = [
    "Action",
    "Apply",
    "Ask",
    "Begin",
    "Checkpoint",
    "Counts",
    "Flaw",
    "Forget",
    "Lost",
    "Note",
    "Policy",
    "Quit",
    "Reason",
    "SourceStream",
    "State",
    "StreamSettings",
]
