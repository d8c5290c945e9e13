"""From an event to what it changes: whose blocks it is about, in which space, and what is left aside."""

from __future__ import annotations

from typing import Final

from kato_transport.events import BlockRemoved, BlockStored
from kato_transport_kv_events.index.contents import Contents, Space, SpaceKey
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.removing import remove
from kato_transport_kv_events.index.sources import Holder, Holders, IndexedSource
from kato_transport_kv_events.index.storing import Storing

REMOTE: Final = "REMOTE"
MANY_SPACES: Final = 1024
"""From which on it is looked, at every doubling, whether some are empty."""


class Filing:
    """Writes events of sources into the contents, and counts what it did."""

    def __init__(self, contents: Contents, holders: Holders, marks: Marks, max_source_blocks: int, *, keyed: bool) -> None:
        self._contents = contents
        self._holders = holders
        self._marks = marks
        self._storing = Storing(contents, holders, marks, keyed=keyed)
        self._max_source_blocks = max_source_blocks
        self._many_spaces = MANY_SPACES
        self.stored = 0
        self.removed = 0
        self.unknown_removals = 0
        self.remote = 0
        self.given_up = 0

    def stored_blocks(self, source: IndexedSource, event: BlockStored) -> bool:
        """False where the source had more than it may, and begins anew with this; `DecodeError` where the tokens are none."""
        hashes = event.block_hashes
        if not hashes:
            return True
        if event.locality == REMOTE:
            self.remote += len(hashes)
            return True
        fits = source.blocks + len(hashes) <= self._max_source_blocks
        if not fits:
            self.given_up += source.blocks
            self._holders.forget(source)
        holder = source.holders.get((event.medium, event.group_idx)) or self._holders.holder(
            source, event.medium, event.group_idx
        )
        if not holder.windowed and _is_windowed(event):
            self._holders.set_windowed(holder)
        self.stored += len(hashes)
        space = self._space(source, event)
        if space is None:
            self._store_unsized(source, holder, event)
        else:
            self._storing.store(space, holder, event)
        return fits

    def removed_blocks(self, source: IndexedSource, event: BlockRemoved) -> None:
        hashes = event.block_hashes
        if event.locality == REMOTE:
            self.remote += len(hashes)
            return
        holder: Holder | None = source.holders.get((event.medium, event.group_idx))
        found = remove(self._marks, source.spaces.values(), holder, hashes) if holder is not None else 0
        self.removed += found
        self.unknown_removals += max(0, len(hashes) - found)

    def drop_empty_spaces(self) -> None:
        """Adapters come and go."""
        self._contents.drop_empty_spaces()
        for source in self._holders.sources.values():
            source.spaces = {key: space for key, space in source.spaces.items() if space.by_hash}

    def _space(self, source: IndexedSource, event: BlockStored) -> Space | None:
        """None where an offload connector does not say it."""
        if event.block_size <= 0:
            return None
        key = (event.origin.model, event.lora_name or event.lora_id or None, event.block_size)
        space = source.spaces.get(key)
        if space is None:
            if not event.token_ids:  # the size is not that of the blocks either
                return None
            space = self._new_space(source, SpaceKey(*key))
        if source.has_unsized:
            self._storing.adopt(self._contents.space(_unsized(event.origin.model)), space, event.block_hashes)
        return space

    def _store_unsized(self, source: IndexedSource, holder: Holder, event: BlockStored) -> None:
        """File each block where its hash is known, or else, by itself, where those wait that are not."""
        key = _unsized(event.origin.model)
        waiting = source.spaces.get(key) or self._new_space(source, key)
        for name in event.block_hashes:
            known = (space for space in source.spaces.values() if space is not waiting and name in space.by_hash)
            space = next(known, waiting)
            if space is waiting:
                source.has_unsized = True
            else:
                self._storing.adopt(waiting, space, (name,))
            self._storing.store_hash(space, holder, name)

    def _new_space(self, source: IndexedSource, key: SpaceKey) -> Space:
        if len(self._contents.spaces) >= self._many_spaces:
            self.drop_empty_spaces()
            self._many_spaces = max(MANY_SPACES, 2 * len(self._contents.spaces))
        space = source.spaces[key] = self._contents.space(key)
        return space


def _unsized(model: str) -> SpaceKey:
    """Where blocks are filed that came without their size, as offload connectors send them."""
    return SpaceKey(model, None, 0)


def _is_windowed(event: BlockStored) -> bool:
    kind = event.kv_cache_spec_kind
    if kind is not None:
        return not (kind.endswith("full_attention") or kind == "mla_attention")
    if event.group_idx is None:
        return False
    return len(event.token_ids) != event.block_size * len(event.block_hashes)
