"""The figures of a prediction, as formulas of plain numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from kato_transport_processor_memory.models import Symbols


def signal_to_noise(matches: int, extras: int) -> float:
    """1 with no extras, 0 where two matches stand against four extras, under 0 beyond; 0 where there is neither."""
    return (2 * matches - extras) / (2 * matches + extras) if matches or extras else 0.0


def entropy(probabilities: Iterable[float]) -> float:
    """In bits."""
    return sum(-p * math.log2(p) for p in probabilities)


def hamiltonian(symbols: Symbols, known: int) -> float:
    """Entropy by shares within `symbols`, each as often as it stands there, to the base of the known symbols."""
    counts = Counter(symbols)
    return grand_hamiltonian((counts[symbol] / len(symbols) for symbol in symbols), known)


def grand_hamiltonian(probabilities: Iterable[float], known: int) -> float:
    """Entropy to the base of the known symbols; 0 where that is no base."""
    return sum(-p * math.log(p, known) for p in probabilities) if known >= 2 else 0.0


def confluence(share: float, probabilities: Iterable[float]) -> float:
    """How probable a model is, times how improbable its symbols are together by chance."""
    return share * (1 - math.prod(probabilities))


def unit(vector: Mapping[str, float]) -> dict[str, float]:
    """The vector's direction: the same with a length of 1."""
    length = math.hypot(*vector.values())
    return {key: value / length for key, value in vector.items()}


def cosine_distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Of two unit vectors; a key that one of them lacks is 0 there."""
    return 1 - sum(value * one.get(key, 0.0) for key, value in other.items())
