"""How long to wait before trying again."""

from __future__ import annotations

import random
from typing import Final

FIRST_S: Final = 0.25
LONGEST_S: Final = 30.0
STEADY_S: Final = 5.0
"""What went well for so long is tried again at once."""


class BackOff:
    """Doubles from try to try; each wait is up to a half shorter, so that many do not come at the same moment."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lasted_s: float) -> float:
        """The wait after a try that lasted so long."""
        if lasted_s >= STEADY_S:
            self._next_s = FIRST_S
            return 0.0
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_S)
        return wait_s * random.uniform(0.5, 1.0)
