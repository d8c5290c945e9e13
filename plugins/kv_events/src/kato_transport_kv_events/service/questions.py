"""What may be asked of an index, as it comes over any wire: checked, and refused in words that repeat none of it.

Token ids give prompts away, so no message and no log line has any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, ValidationError, convert

from kato_transport import ErrorCode, ServiceError
from kato_transport.events import BlockHash

Token = Annotated[int, Meta(ge=0, lt=2**32)]


class _Question(Struct, kw_only=True, forbid_unknown_fields=True):
    model: str | None = None
    lora_name: str | int | None = None
    """Or the adapter's id, of engines too old to say its name."""

    def space(self) -> dict[str, Any]:
        """Whose blocks are meant."""
        return {"model": self.model or "", "lora_name": self.lora_name}


class MatchQuestion(_Question):
    """Who holds the blocks of these tokens?"""

    token_ids: list[Token]
    cache_salt: str | None = None


class HashesQuestion(_Question):
    """Who holds these blocks, each the child of the one before it? What salts them is in the hashes."""

    hashes: list[Any]

    def block_hashes(self) -> list[BlockHash]:
        """As the engine has them: integers, and bytes for what came as bytes, as `{"hex": …}` or as hex digits."""
        return [_block_hash(position, value) for position, value in enumerate(self.hashes)]


class ForgetQuestion(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose engine was reset?"""

    pod: str
    rank: Annotated[int, Meta(ge=0)] = 0


Q = TypeVar("Q", MatchQuestion, HashesQuestion, ForgetQuestion)


def asked(kind: type[Q], params: Mapping[str, Any]) -> Q:
    """The question in a request's params; `ServiceError` (invalid_params) says what is wrong with it."""
    try:
        return convert(params, kind)
    except ValidationError as exc:
        raise _refused(str(exc)) from exc


def _block_hash(position: int, value: Any) -> BlockHash:
    match value:
        case bool():
            pass
        case int() if -(2**63) <= value < 2**64:
            return value
        case bytes():
            return value
        case str() | {"hex": str()}:
            digits = value if isinstance(value, str) else value["hex"]
            try:
                return bytes.fromhex(digits)
            except ValueError:
                pass
    raise _refused(f'Expected an integer of 64 bits, {{"hex": "…"}} or hex digits - at `$.hashes[{position}]`')


def _refused(text: str) -> ServiceError:
    return ServiceError(text, ErrorCode.INVALID_PARAMS)
