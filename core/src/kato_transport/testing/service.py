"""The service that the kit's tests call."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from kato_transport.errors import ServiceError
from kato_transport.testing.waiting import TEST_S, until


class SampleService:
    """Echoes, counts, fails and holds calls back until it is told to let them go."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        """How often `count` ran for each token."""
        self._started: Counter[str] = Counter()
        self._released: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    @property
    def methods(self) -> Mapping[str, Callable[..., Mapping[str, Any]]]:
        """What is given to `serve`."""
        return {
            "echo": self.echo,
            "count": self.count,
            "hold": self.hold,
            "nothing": self.nothing,
            "fail": self.fail,
            "refuse": self.refuse,
            "unspeakable": self.unspeakable,
            "blow_up": self.blow_up,
        }

    def echo(self, value: Any) -> dict[str, Any]:
        return {"value": value}

    def count(self, token: str) -> dict[str, Any]:
        with self._lock:
            self.runs[token] += 1
        return {"token": token}

    def hold(self, key: str) -> dict[str, Any]:
        """Answer once `release` was called for the key."""
        with self._lock:
            self._started[key] += 1
        self._event(key).wait(TEST_S)
        return {"key": key}

    def nothing(self) -> dict[str, Any]:
        return {}

    def fail(self, text: str) -> dict[str, Any]:
        raise RuntimeError(text)

    def refuse(self, message: str, code: str) -> dict[str, Any]:
        raise ServiceError(message, code)

    def unspeakable(self) -> dict[str, Any]:
        """An answer that no codec carries."""
        return {"value": object()}

    def blow_up(self, size: int) -> dict[str, Any]:
        """An answer of that many bytes."""
        return {"value": "x" * size}

    def wait_for_start(self, *keys: str) -> None:
        """Wait until a `hold` of each key is running."""
        for key in keys:
            until(lambda key=key: self.has_started(key), f"the server did not start `hold` {key!r}")  # type: ignore[misc]

    def has_started(self, key: str) -> bool:
        return self._started[key] > 0

    def starts(self, key: str) -> int:
        """How often `hold` was started for the key."""
        return self._started[key]

    def release(self, *keys: str) -> None:
        """Let the calls of these keys go, and those still to come."""
        for key in keys:
            self._event(key).set()

    def release_all(self) -> None:
        """Let every call go that is held back now."""
        with self._lock:
            for event in self._released.values():
                event.set()

    def _event(self, key: str) -> threading.Event:
        with self._lock:
            return self._released.setdefault(key, threading.Event())
