"""Events as they lie on the wire: arrays or maps, and for each a type that reads all its versions.

Arrays are what vLLM sent up to 0.23 and SGLang up to 0.5.19. Fields were only ever added, at the end of arrays and by name
to maps, so the type with the most fields reads every older version: what is missing takes its default. Unknown fields
are passed over, and so are elements after the known ones.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Raw, Struct
from msgspec.structs import asdict

from kato_transport.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, Origin, TokenIds, from_fields
from kato_transport_kv_events.wire.token_ids import unpack_token_ids

NONE: Final = Raw(b"\xc0")


class _Stored(Struct, gc=False):
    absent: ClassVar[dict[str, None]] = {}
    """Fields that only maps have."""

    block_hashes: tuple[BlockHash, ...]
    parent_block_hash: BlockHash | None = None
    token_ids: Raw = NONE
    block_size: int = 0
    lora_id: int | None = None
    medium: str | None = None
    lora_name: str | None = None
    extra_keys: tuple[tuple[Any, ...] | None, ...] | None = None
    group_idx: int | None = None
    kv_cache_spec_kind: str | None = None
    kv_cache_spec_sliding_window: int | None = None

    def event(self, origin: Origin) -> BlockStored:
        """The event that this is; `ValueError` where an extra key is nothing that could be one."""
        fields = asdict(self)
        fields |= self.absent
        fields["origin"] = origin
        fields["token_ids"] = TokenIds(self.token_ids, unpack_token_ids)
        if self.medium is None:
            fields["medium"] = "GPU"
        if self.extra_keys is not None and any(self.extra_keys):
            fields["extra_keys"] = tuple(None if keys is None else _frozen(keys) for keys in self.extra_keys)
        return from_fields(BlockStored, fields)


class _Removed(Struct, gc=False):
    absent: ClassVar[dict[str, None]] = {}
    """Fields that only maps have."""

    block_hashes: tuple[BlockHash, ...]
    medium: str | None = None
    group_idx: int | None = None

    def event(self, origin: Origin) -> BlockRemoved:
        """The event that this is."""
        fields = asdict(self)
        fields |= self.absent
        fields["origin"] = origin
        if self.medium is None:
            fields["medium"] = "GPU"
        return from_fields(BlockRemoved, fields)


class _Cleared(Struct, gc=False):
    def event(self, origin: Origin) -> AllBlocksCleared:
        """The event that this is."""
        return AllBlocksCleared(origin=origin)


class MapStored(_Stored, tag="BlockStored", gc=False):
    cache_salt: str | None = None
    locality: str | None = None
    ownership: str | None = None
    session_id: str | None = None
    lookahead_token_ids: tuple[tuple[int, ...], ...] | None = None


class MapRemoved(_Removed, tag="BlockRemoved", gc=False):
    locality: str | None = None
    ownership: str | None = None


class MapCleared(_Cleared, tag="AllBlocksCleared", gc=False):
    pass


class ArrayStored(_Stored, array_like=True, tag="BlockStored", gc=False):
    absent: ClassVar[dict[str, None]] = dict.fromkeys(MapStored.__struct_fields__[len(_Stored.__struct_fields__) :])


class ArrayRemoved(_Removed, array_like=True, tag="BlockRemoved", gc=False):
    absent: ClassVar[dict[str, None]] = dict.fromkeys(MapRemoved.__struct_fields__[len(_Removed.__struct_fields__) :])


class ArrayCleared(_Cleared, array_like=True, tag="AllBlocksCleared", gc=False):
    pass


InMap = MapStored | MapRemoved | MapCleared
InArray = ArrayStored | ArrayRemoved | ArrayCleared


class MapBatch(Struct, array_like=True, gc=False):
    """A batch of events as maps."""

    ts: float
    events: list[InMap]
    rank: int | None = None


class ArrayBatch(Struct, array_like=True, gc=False):
    """A batch of events as arrays."""

    ts: float
    events: list[InArray]
    rank: int | None = None


class RawBatch(Struct, array_like=True, gc=False):
    """A batch of anything."""

    ts: float
    events: list[Raw]
    rank: int | None = None


AnyBatch = MapBatch | ArrayBatch | RawBatch


class MapTag(Struct):
    """The kind of an event that is a map, whatever else is in it."""

    type: str


class ArrayTag(Struct, array_like=True):
    """The kind of an event that is an array, whatever else is in it."""

    type: str


def _frozen(value: Any) -> Any:
    """An extra key with tuples for lists, so that it can be hashed; `ValueError` where it holds what no engine hashes."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_frozen, value))
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise ValueError(f"a {type(value).__name__} as an extra key")
