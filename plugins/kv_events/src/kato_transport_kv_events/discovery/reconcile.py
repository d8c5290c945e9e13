"""From the sources that are followed to those that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from kato_transport_kv_events.subscription.source import Source


@frozen
class Changes:
    """What there is to do, in this order: what is removed may be in the way of what is added.

    A source that has changed in any way, as one does that comes back at another address, is in both.
    """

    remove: tuple[Source, ...]
    add: tuple[Source, ...]


def changes(followed: Collection[Source], wanted: Iterable[Source]) -> Changes:
    """What makes the sources that are followed those that are wanted, and touches no other."""
    in_order = dict.fromkeys(wanted)
    return Changes(
        remove=tuple(source for source in followed if source not in in_order),
        add=tuple(source for source in in_order if source not in followed),
    )
