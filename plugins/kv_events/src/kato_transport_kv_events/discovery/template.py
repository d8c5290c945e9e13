"""From an address to a source: what all sources of a discovery have in common."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen, validators

from kato_transport import InvalidSetting
from kato_transport_kv_events.discovery.spec import number
from kato_transport_kv_events.stream.settings import Policy
from kato_transport_kv_events.subscription.source import Source

_port: list[Any] = [validators.ge(0), validators.le(65535)]


@frozen(kw_only=True)
class Template:
    """The engines that one discovery finds, but for their names and addresses."""

    port: int = field(default=5557, converter=number, validator=[*_port, validators.ge(1)])
    """Where they publish."""
    replay: int = field(default=0, converter=number, validator=_port)
    """The port where they answer replay requests; 0 where they do not."""
    model: str = ""
    topic: str = ""
    ranks: int = field(default=1, converter=number)
    policy: str | Policy = Policy.DROP

    def __attrs_post_init__(self) -> None:
        self.source("any", "0.0.0.0").parts()  # checks the rest
        last = self.ranks - 1
        for name, port in (("port", self.port), ("replay", self.replay)):
            if port + last > 65535:
                raise InvalidSetting(f"{name}: there are no {self.ranks} ports from {port}")
        if self.replay and abs(self.port - self.replay) <= last:
            raise InvalidSetting(
                f"replay: with ranks={self.ranks}, ports {self.port} to {self.port + last} are where they publish, "
                f"so {self.replay} to {self.replay + last} cannot be for replays"
            )

    def source(self, pod: str, address: str, model: str = "") -> Source:
        """The source at an IP address; its model is `model`, unless the template has one for all."""
        host = f"[{address}]" if ":" in address else address
        return Source(
            pod=pod,
            endpoint=f"tcp://{host}:{self.port}",
            replay_endpoint=f"tcp://{host}:{self.replay}" if self.replay else "",
            model=self.model or model,
            topic=self.topic,
            ranks=self.ranks,
            policy=self.policy,
        )
