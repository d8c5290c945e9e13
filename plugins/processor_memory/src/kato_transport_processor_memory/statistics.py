"""How often symbols were learned, counted anew at every learning."""

from __future__ import annotations

from collections import Counter

from kato_transport_processor_memory.models import Symbols


class SymbolStatistics:
    """Counts of symbols and of learnings. They follow from the models' frequencies, so no file keeps them."""

    def __init__(self) -> None:
        self.frequency: Counter[str] = Counter()
        """All occurrences of a symbol."""
        self.model_member_frequency: Counter[str] = Counter()
        """The number of learnings whose sequence holds the symbol."""
        self.total_model_frequencies = 0
        """The number of learnings."""
        self.total_symbols_in_models_frequencies = 0
        """The sum over learnings of the number of distinct symbols."""
        self.total_symbol_frequencies = 0
        """The sum over learnings of the number of symbols."""

    def count(self, symbols: Symbols, times: int = 1) -> None:
        """Count a sequence's symbols as learned so many times."""
        counts = Counter(symbols)
        for symbol, number in counts.items():
            self.frequency[symbol] += number * times
            self.model_member_frequency[symbol] += times
        self.total_model_frequencies += times
        self.total_symbols_in_models_frequencies += len(counts) * times
        self.total_symbol_frequencies += len(symbols) * times

    @property
    def known_symbols(self) -> int:
        """The number of symbols that were ever learned."""
        return len(self.frequency)

    def probability(self, symbol: str, unknown: float = 0.0) -> float:
        """A symbol's share of all memberships; `unknown` where it was never learned."""
        members = self.model_member_frequency.get(symbol)
        return members / self.total_symbols_in_models_frequencies if members else unknown
