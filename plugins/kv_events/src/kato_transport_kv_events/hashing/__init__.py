"""The block hashes that engines compute, so that a request can be matched by them and no event's tokens need decoding.

Pure: nothing of sockets, events or state. docs/kv-hashing.md says which releases hash what.
"""

from __future__ import annotations

from kato_transport_kv_events.hashing.sglang import sglang_block_hashes
from kato_transport_kv_events.hashing.vllm import vllm_block_hashes, vllm_root

__all__ = ["sglang_block_hashes", "vllm_block_hashes", "vllm_root"]
