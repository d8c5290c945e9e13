"""The one retry policy: how long apart the copies of a call are, and when there are no more.

Entered only after a failure, so a call that succeeds pays nothing for it. Exponential back-off with full jitter, as AWS's
"Exponential Backoff and Jitter" has it; all copies share the call's own time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random, wait_random_exponential

from kato_transport.errors import ConnectFailed

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
NOBODY_WAIT_S = 0.1
"""The longest wait where nothing was sent, as that spares no server, and one that returns is to be called at once."""


def retrying(may_repeat: Callable[[BaseException], bool], left_s: Callable[[BaseException], float]) -> Any:
    """A tenacity `Retrying` to step through; `left_s` tells the seconds left after a failure of that kind."""
    back_off = wait_random_exponential(FIRST_WAIT_S, LONGEST_WAIT_S)
    nobody_there = wait_random(0, NOBODY_WAIT_S)

    def wait(state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return (nobody_there if isinstance(failure, ConnectFailed) else back_off)(state)

    def is_over(state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        return failure is None or state.upcoming_sleep >= left_s(failure)

    return Retrying(retry=retry_if_exception(may_repeat), wait=wait, stop=is_over, reraise=True)
