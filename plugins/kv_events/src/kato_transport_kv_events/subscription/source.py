"""A source: which engine to follow, where, and under which name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

from attrs import Factory, evolve, field, frozen, validators

from kato_transport import InvalidSetting
from kato_transport_kv_events.stream.settings import Policy

FORM: Final = "POD=ENDPOINT[,replay=ENDPOINT][,model=M][,topic=T][,rank=N][,ranks=N][,policy=drop|keep][,bind=yes|no]"
MOST_RANKS: Final = 1024
ANYWHERE: Final = ("tcp://*:", "tcp://[::]:")
"""What nobody could connect to."""


def _policy(word: Any) -> Policy:
    try:
        return Policy(word)
    except ValueError:
        raise InvalidSetting(f"policy {word!r}; expected one of: {', '.join(Policy)}") from None


def _flag(word: str) -> bool:
    if word not in ("yes", "no"):
        raise InvalidSetting(f"bind {word!r}; expected yes or no")
    return word == "yes"


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise InvalidSetting(f"{word!r} is no number")
    return int(word)


KEYS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "replay": ("replay_endpoint", str),
    "model": ("model", str),
    "topic": ("topic", str),
    "rank": ("rank", _number),
    "ranks": ("ranks", _number),
    "policy": ("policy", _policy),
    "bind": ("bind", _flag),
}
"""What may follow the endpoint in text, and the field that each is."""


@frozen(kw_only=True)
class Source:
    """One engine, or the data-parallel ranks of one."""

    pod: str = field(validator=validators.min_len(1))
    """The name that its blocks go by."""
    endpoint: str
    """Where the engine publishes, `tcp://HOST:PORT` or `ipc://PATH`; with `bind`, where it is waited for."""
    replay_endpoint: str = ""
    """Where it answers replay requests; empty where it does not."""
    model: str = ""
    topic: str = ""
    """Prefix of the topics subscribed to. Engines that share a bound endpoint are told apart by it, and by their rank."""
    rank: int = field(default=0, validator=[validators.instance_of(int), validators.ge(0)])
    """The data-parallel rank at the endpoints as they are given."""
    ranks: int = field(default=1, validator=[validators.instance_of(int), validators.ge(1), validators.le(MOST_RANKS)])
    """How many ranks follow each other from there, each a port higher than the one before, for both endpoints."""
    policy: Policy = field(default=Policy.DROP, converter=_policy)
    """What is done when batches are lost for good."""
    bind: bool = field(default=Factory(lambda self: self.endpoint.startswith(ANYWHERE), takes_self=True))
    """Whether the engine connects to the endpoint, as engines do whose own endpoint names a host."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The source that a person wrote; `InvalidSetting` says what is wrong with it."""
        head, *rest = text.split(",")
        pod, _, endpoint = head.partition("=")
        if not pod or "://" not in endpoint:
            raise _malformed(text, "it does not begin with POD=ENDPOINT")
        fields: dict[str, Any] = {}
        for item in rest:
            key, equals, value = item.partition("=")
            if key not in KEYS or not equals:
                raise _malformed(text, f"{item!r} is none of: {', '.join(f'{known}=' for known in KEYS)}")
            name, read = KEYS[key]
            if name in fields:
                raise _malformed(text, f"{key} is given twice")
            try:
                fields[name] = read(value)
            except InvalidSetting as exc:
                raise _malformed(text, f"{key}: {exc}") from exc
        try:
            return cls(pod=pod, endpoint=endpoint, **fields)
        except ValueError as exc:
            raise _malformed(text, str(exc)) from exc

    def parts(self) -> tuple[Source, ...]:
        """A source for each rank; `InvalidSetting` where there is no port to count from."""
        if self.ranks == 1:
            return (self,)
        return tuple(
            evolve(
                self,
                rank=self.rank + offset,
                ranks=1,
                endpoint=ports_on(self.endpoint, offset),
                replay_endpoint=ports_on(self.replay_endpoint, offset) if self.replay_endpoint else "",
            )
            for offset in range(self.ranks)
        )


def ports_on(endpoint: str, offset: int) -> str:
    """The endpoint so many ports further on; `InvalidSetting` where it has no port to count from."""
    if not offset:
        return endpoint
    host, _, port = endpoint.rpartition(":")
    if not (endpoint.startswith("tcp://") and port.isdigit() and int(port)):
        raise InvalidSetting(f"endpoint {endpoint!r}: ranks need a port to count from; expected tcp://HOST:PORT, not port 0")
    return f"{host}:{int(port) + offset}"


def _malformed(text: str, why: str) -> InvalidSetting:
    return InvalidSetting(f"source {text!r}: {why}; expected {FORM}")
