"""Gateways that follow engines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from kato_transport_kv_events import BlockIndex, KVEventManager, Limits, StreamSettings

from ..subscription.conftest import QUICK
from ..subscription.recorder import Recorder
from .gateway import Gateway


@pytest.fixture
def gateway(closing: ExitStack) -> Callable[..., Gateway]:
    """A gateway that follows nobody yet: `gateway(index, *other handlers, settings=…, limits=…)`."""

    def made(
        index: BlockIndex | None = None, *others: Any, settings: StreamSettings = QUICK, limits: Limits | None = None
    ) -> Gateway:
        index, told = index or BlockIndex(), Recorder()
        manager = closing.enter_context(KVEventManager([index, told, *others], settings=settings, limits=limits))
        return Gateway(index, manager, told)

    return made
