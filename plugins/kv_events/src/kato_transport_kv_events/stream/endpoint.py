"""What is known of a source's replay endpoint: whether there is one, whether it answers, whether it is this engine's."""

from __future__ import annotations

FIRST_BACK_OFF_S = 0.25
DISAGREEMENTS = 3
"""Anchors that disagree in a row, without a reconnection between, after which the endpoint is taken for another engine's."""


class Endpoint:
    """`there`: whether the source has one at all."""

    def __init__(self, there: bool, longest_back_off_s: float) -> None:
        self._there = there
        self._longest_back_off_s = longest_back_off_s
        self.refused = ""
        """Why it is done without, until the next connection."""
        self.given_up = False
        """Whether live batches do not wait for it any more; ends with its next answer."""
        self.answered = False
        """Whether it ever answered, if only with an end marker."""
        self.returned = False
        """Whether it ever returned a batch."""
        self.unanswered = 0
        """Requests in a row without an answer."""
        self.unanswered_since = 0.0
        self._disagreements = 0

    @property
    def worth_asking(self) -> bool:
        return self._there and not self.refused

    @property
    def relied_upon(self) -> bool:
        """Whether live batches wait for its answers."""
        return self.worth_asking and not self.given_up

    def reconnected(self) -> None:
        """The engine may be another, so it gets another chance."""
        self.refused = ""
        self._disagreements = 0

    def heard(self, batch: bool) -> None:
        self.answered = True
        self.returned = self.returned or batch
        self.given_up = False
        self.unanswered = 0

    def missed(self, asked: float) -> None:
        """A request, made at the time given, was not answered."""
        if not self.unanswered:
            self.unanswered_since = asked
        self.unanswered += 1

    def agreed(self) -> None:
        self._disagreements = 0

    def disagreed(self) -> bool:
        """It showed a restart of which the connection knows nothing; whether it is to be done without now."""
        self._disagreements += 1
        if self._disagreements < DISAGREEMENTS:
            return False
        self.refused = f"it disagreed {DISAGREEMENTS} times with what came live: it is another engine's"
        return True

    def back_off_s(self, least_s: float = FIRST_BACK_OFF_S) -> float:
        """How long to leave it alone after so many requests without an answer."""
        return min(least_s * (1 << min(max(0, self.unanswered - 1), 16)), self._longest_back_off_s)
