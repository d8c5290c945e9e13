"""Predictions: the models that a state brings to mind, with their figures, best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from typing import Any

from attrs import frozen

from kato_transport_processor_memory import measures
from kato_transport_processor_memory.emotives import Emotives, average
from kato_transport_processor_memory.matching import Match, Matcher
from kato_transport_processor_memory.memory import LearnedModels
from kato_transport_processor_memory.models import PREFIX, LearnedModel, Symbols, as_lists
from kato_transport_processor_memory.statistics import SymbolStatistics

UNKNOWN_PROBABILITY = 1e-10
"""What a symbol that was never learned counts for in the confluence."""


@frozen
class Scores:
    """The figures that order candidates, and what they are figures of."""

    model: LearnedModel
    match: Match
    evidence: float
    confidence: float
    snr: float
    itfdf_similarity: float
    potential: float


@frozen
class Prediction:
    """One prediction. It is kept as records, which share their events with the model, and written out when asked for."""

    scores: Scores
    emotives: Emotives
    entropy: float
    hamiltonian: float
    grand_hamiltonian: float
    confluence: float

    def as_map(self) -> dict[str, Any]:
        """As it goes on the wire."""
        model, match, scores = self.scores.model, self.scores.match, self.scores
        return {
            "type": "prototypical",
            "name": PREFIX + model.name,
            "frequency": model.frequency,
            "emotives": dict(self.emotives),
            "matches": list(match.matches),
            "past": as_lists(match.past),
            "present": as_lists(match.present),
            "future": as_lists(match.future),
            "missing": list(match.missing),
            "extras": list(match.extras),
            "potential": scores.potential,
            "evidence": scores.evidence,
            "similarity": rounded(match.similarity),
            "fragmentation": match.blocks - 1,
            "snr": scores.snr,
            "entropy": self.entropy,
            "hamiltonian": self.hamiltonian,
            "grand_hamiltonian": self.grand_hamiltonian,
            "confluence": self.confluence,
            "confidence": scores.confidence,
            "itfdf_similarity": scores.itfdf_similarity,
        }


def rounded(figure: float) -> float:
    """To 12 digits, so that the order of additions shows neither in figures nor in the order of predictions."""
    return round(figure, 12)


def predict(state: Symbols, memory: LearnedModels, threshold: float, limit: int) -> tuple[Prediction, ...]:
    """The state's predictions: highest potential first, then in the order of first learning; at most `limit`."""
    candidates = list(_candidates(state, memory, threshold))
    if not candidates:
        return ()
    ensemble = Ensemble(state, candidates, memory.statistics)
    scores = [ensemble.score(model, match) for model, match in candidates]
    best = nsmallest(limit, scores, key=lambda score: -score.potential)
    return tuple(_prediction(score, memory.statistics) for score in best)


def _candidates(state: Symbols, memory: LearnedModels, threshold: float) -> Iterator[tuple[LearnedModel, Match]]:
    """The models that are similar enough. Sharing bounds what can match, so most others need no comparison."""
    matcher = Matcher(state)
    for model, shared in memory.sharing(state):
        if 2.0 * shared / (model.length + len(state)) < threshold:
            continue
        match = matcher.match(model, threshold)
        if match is not None:
            yield model, match


class Ensemble:
    """What the candidates for one state are weighed against: the state, and all of them together."""

    def __init__(self, state: Symbols, candidates: Sequence[tuple[LearnedModel, Match]], statistics: SymbolStatistics) -> None:
        shown = {symbol for _, match in candidates for symbol in match.present_symbols}
        self._probabilities = {symbol: statistics.probability(symbol) for symbol in shown}
        self._frequencies = sum(model.frequency for model, _ in candidates)
        self._state = self._direction(tuple(symbol for symbol in state if symbol in shown))

    def score(self, model: LearnedModel, match: Match) -> Scores:
        """One candidate's figures among the others."""
        matched = len(match.matches)
        evidence, confidence = matched / model.length, matched / len(match.present_symbols)
        snr = measures.signal_to_noise(matched, len(match.extras))
        distance = measures.cosine_distance(self._state, self._direction(match.present_symbols))
        itfdf_similarity = 1 - distance * model.frequency / self._frequencies
        potential = (evidence + confidence) * snr + itfdf_similarity + 1 / match.blocks
        figures = map(rounded, (evidence, confidence, snr, itfdf_similarity, potential))
        return Scores(model, match, *figures)

    def _direction(self, symbols: Symbols) -> dict[str, float]:
        return measures.unit({symbol: self._probabilities[symbol] * count for symbol, count in Counter(symbols).items()})


def _prediction(scores: Scores, statistics: SymbolStatistics) -> Prediction:
    present, known = scores.match.present_symbols, statistics.known_symbols
    share = scores.model.frequency / statistics.total_model_frequencies
    by_chance = (statistics.probability(symbol, UNKNOWN_PROBABILITY) for symbol in present)
    return Prediction(
        scores,
        emotives={key: rounded(value) for key, value in average(scores.model.emotives).items()},
        entropy=rounded(measures.entropy(map(statistics.probability, present))),
        hamiltonian=rounded(measures.hamiltonian(present, known)),
        grand_hamiltonian=rounded(measures.grand_hamiltonian(map(statistics.probability, dict.fromkeys(present)), known)),
        confluence=rounded(measures.confluence(share, by_chance)),
    )
