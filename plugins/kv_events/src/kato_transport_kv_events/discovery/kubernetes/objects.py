"""What the API sends, as far as it is of use here; whatever else is in it is skipped."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from kato_transport_kv_events.discovery.kubernetes.errors import ApiError

T = TypeVar("T")


class Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class PodStatus(msgspec.Struct):
    phase: str = ""
    ip: str = msgspec.field(name="podIP", default="")
    conditions: list[Condition] | None = None


class Pod(msgspec.Struct):
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def serves(self) -> bool:
        """Whether it runs, is ready, has an address, and is not about to end."""
        ready = any(found.type == "Ready" and found.status == "True" for found in self.status.conditions or ())
        return ready and self.status.phase == "Running" and bool(self.status.ip) and self.metadata.deletion_timestamp is None


class ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continues: str = msgspec.field(name="continue", default="")


class PodList(msgspec.Struct):
    """A page of a list."""

    metadata: ListMetadata
    items: list[Pod] | None = None


class Event(msgspec.Struct):
    """A line of a watch."""

    type: str
    object: msgspec.Raw


class Status(msgspec.Struct):
    """An error."""

    code: int = 0
    message: str = ""


def decoded(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """`ApiError` where it is none."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as exc:
        raise ApiError(f"the API sent what is no {kind.__name__}: {exc}") from exc
