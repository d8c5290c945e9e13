"""The one retry policy: what may be tried again, how often, and how long apart.

It is entered only after a failure, so a call that succeeds pays nothing for it. Busy servers are asked again, as they ran
nothing; after a broken connection only idempotent calls are. All attempts share the call's own time.
"""

from __future__ import annotations

from typing import Any

from kato_transport.errors import ConnectionLost, ServerBusy
from kato_transport.model import Request

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0


def may_retry(request: Request, error: BaseException) -> bool:
    """Whether running the call again can do no harm after this error."""
    return isinstance(error, ServerBusy) or (request.idempotent and isinstance(error, ConnectionLost))


def policy(request: Request, left_s: float) -> dict[str, Any]:
    """Arguments of tenacity's `Retrying` and `AsyncRetrying`: exponential back-off with full jitter, within `left_s`."""
    from tenacity import retry_if_exception, stop_before_delay, wait_random_exponential

    return {
        "retry": retry_if_exception(lambda error: may_retry(request, error)),
        "wait": wait_random_exponential(FIRST_WAIT_S, LONGEST_WAIT_S),
        "stop": stop_before_delay(left_s),
        "reraise": True,
    }
