"""What an answer of a replay endpoint has beside its batches."""

from __future__ import annotations

from typing import Final

END: Final = b"\xff" * 8
"""In the place of a batch's number: the answer is over."""
