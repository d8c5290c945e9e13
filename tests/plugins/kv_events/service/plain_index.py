"""An index that anybody can check by reading it: every block by all the tokens up to its end."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import kato_transport as kt
from kato_transport.events import BlockStored
from kato_transport_kv_events.stream import State


class PlainIndex:
    """One model, one block size; blocks are never removed."""

    def __init__(self) -> None:
        self.paths = {None: ()}
        self.holders = defaultdict(dict)
        self.states = {}

    @kt.inline
    def handle_event(self, event):
        if not isinstance(event, BlockStored):
            return
        path = self.paths[event.parent_block_hash]
        size = event.block_size
        for number, block_hash in enumerate(event.block_hashes):
            path += tuple(event.token_ids[number * size : (number + 1) * size])
            self.paths[block_hash] = path
            self.holders[path][event.origin.pod, event.origin.rank] = event.medium
            self.size = size

    def source_changed(self, pod, rank, model, state):
        self.states[pod, rank] = state

    def match(self, token_ids, *, model="", lora_name=None, cache_salt=None, block_size=None):
        ends = range(self.size, len(token_ids) + 1, self.size)
        return self._match([tuple(token_ids[:end]) for end in ends])

    def match_hashes(self, hashes, *, model="", block_size=None):
        return self._match([self.paths.get(block_hash) for block_hash in hashes])

    def _match(self, paths):
        found = [self._holder(source, paths) for source in sorted(self.states)]
        pods = sorted((holder for holder in found if holder.blocks), key=lambda holder: -holder.blocks)
        return SimpleNamespace(block_size=self.size, blocks=len(paths), pods=pods)

    def _holder(self, source, paths):
        leading = next((number for number, path in enumerate(paths) if source not in self.holders[path]), len(paths))
        pod, rank = source
        state = self.states.get(source, State.CONNECTING)
        return SimpleNamespace(pod=pod, rank=rank, blocks=leading, by_medium={"GPU": leading}, state=state, generation=0)
