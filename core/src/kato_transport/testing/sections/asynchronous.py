"""The asynchronous client: as the other, and it never blocks its loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

import kato_transport as kt
from kato_transport.model import Capability
from kato_transport.testing.base import Conformance, requires
from kato_transport.testing.rig import Rig, one_copy
from kato_transport.testing.sections.leaks import threads_since
from kato_transport.testing.waiting import GRACE_S, LONG_S, SOON_S, at_most, comes_true

T = TypeVar("T")


class Asynchronous(Conformance):
    """Calls from asyncio."""

    def test_an_async_call_is_answered(self, rig: Rig) -> None:
        """One call, then several in turn, then many at once and in order."""
        server = rig.serve()

        async def calls() -> None:
            async with rig.aconnect(server) as client:
                assert await client.call("echo", {"value": 1}) == {"status": "okay", "value": 1}
                assert [(await client.call("echo", {"value": n}))["value"] for n in range(10)] == list(range(10))
                answers = await client.call_many([("echo", {"value": n}) for n in range(50)])
                assert answers == [{"status": "okay", "value": n} for n in range(50)]

        run(calls())

    def test_async_errors_have_the_same_types(self, rig: Rig) -> None:
        """A wrong method, params that cannot be carried, nobody there."""
        server, nowhere = rig.serve(), rig.nowhere()

        async def calls() -> None:
            async with rig.aconnect(server) as client:
                with pytest.raises(kt.RemoteError, match="no_such_method"):
                    await client.call("no_such_method")
                with pytest.raises(kt.LocalProtocolError):
                    await client.call("echo", {"value": object()})
            async with rig.aconnect(nowhere, connect_timeout_s=SOON_S) as client:
                with pytest.raises(kt.ConnectFailed):
                    await asyncio.wait_for(client.call("echo", {"value": 1}), SOON_S + GRACE_S)

        run(calls())

    def test_an_async_client_goes_on_after_a_timeout(self, rig: Rig) -> None:
        """`CallTimeout` at the call's time; the late answer goes to nobody."""
        server = rig.serve()

        async def calls() -> None:
            async with rig.aconnect(server) as client:
                await client.call("ping")  # so that connecting takes nothing from the next call's time
                for n in range(3):
                    with pytest.raises(kt.CallTimeout):
                        await asyncio.wait_for(client.request(one_copy("hold", SOON_S, key=f"late {n}")), SOON_S + GRACE_S)
                    rig.service.release(f"late {n}")
                    assert (await client.call("echo", {"value": n}))["value"] == n

        run(calls())

    def test_an_async_client_goes_on_after_a_cancelled_call(self, rig: Rig) -> None:
        """Cancelling ends the task at once; the answer that still comes goes to nobody."""
        server = rig.serve()

        async def calls() -> None:
            async with rig.aconnect(server) as client:
                task = asyncio.create_task(client.call("hold", {"key": "held"}))
                await started(rig, "held")
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, GRACE_S)
                rig.service.release("held")
                assert (await client.call("echo", {"value": 1}))["value"] == 1

        run(calls())

    def test_an_async_call_does_not_block_the_loop(self, rig: Rig) -> None:
        """The loop goes on while a call waits; here only the loop can end it."""
        server = rig.serve()

        async def calls() -> None:
            async with rig.aconnect(server) as client:
                task = asyncio.create_task(client.call("hold", {"key": "held"}))
                await started(rig, "held")
                rig.service.release("held")
                assert await task == {"status": "okay", "key": "held"}

        with at_most(LONG_S / 2, "a call that only its own event loop can end"):
            run(calls())

    @requires(Capability.MULTIPLEX)
    def test_a_slow_async_call_does_not_hold_up_a_fast_one(self, rig: Rig) -> None:
        """On one client, the fast one overtakes."""
        server = rig.serve()

        async def calls() -> None:
            async with rig.aconnect(server) as client:
                slow = asyncio.create_task(client.call("hold", {"key": "slow"}))
                await started(rig, "slow")
                await asyncio.wait_for(client.call("echo", {"value": 1}), GRACE_S)
                assert not slow.done()
                rig.service.release("slow")
                assert await slow == {"status": "okay", "key": "slow"}

        run(calls())

    def test_closing_an_async_client_ends_calls_in_flight(self, rig: Rig) -> None:
        """In a typed error, at once; afterwards it is `ClientClosed`, and closing again does nothing."""
        server = rig.serve()

        async def calls() -> None:
            client = rig.aconnect(server)
            task = asyncio.create_task(client.call("hold", {"key": "held"}))
            await started(rig, "held")
            await asyncio.wait_for(client.close(), GRACE_S)
            with pytest.raises((kt.ClientClosed, kt.ConnectionLost)):
                await asyncio.wait_for(task, GRACE_S)
            await client.close()
            with pytest.raises(kt.ClientClosed):
                await client.call("nothing")

        run(calls())

    def test_an_async_client_leaves_nothing_behind(self, rig: Rig) -> None:
        """No task in its loop, and no thread after it."""
        before = set(threading.enumerate())

        async def calls(server: kt.RunningServer) -> list[asyncio.Task[Any]]:
            async with rig.aconnect(server) as client:
                await client.call_many([("nothing", {})] * 5)
            return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

        with rig.serve() as server:
            assert run(calls(server)) == []
        comes_true(lambda: threads_since(before) == [], GRACE_S)
        assert threads_since(before) == []


def run(calls: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine, bounded."""

    async def bounded() -> T:
        async with asyncio.timeout(LONG_S):
            return await calls

    return asyncio.run(bounded())


async def started(rig: Rig, key: str) -> None:
    """Wait until a `hold` of that key is running, without blocking the loop."""
    for _ in range(int(GRACE_S / 0.005)):
        if rig.service.has_started(key):
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"the server did not start `hold` {key!r}")
