"""A metric as a row of a table: its name, what is said of it, and where its values are found in a record of counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, Generic, TypeVar

from attrs import frozen
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.utils import floatToGoString

PREFIX: Final = "kato_kv_"
R = TypeVar("R")
Labels = tuple[str, ...]


@frozen
class Buckets:
    """How many values there were up to each bound, and beyond the last, and what all of them come to."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


@frozen
class Metric(Generic[R]):
    """One row: of a record it makes values, each with its own labels beside those of the record."""

    name: str
    text: str
    kind: type[Any]
    values: Callable[[R], Iterable[tuple[Labels, Any]]]
    label: str = ""
    """What tells the values of one record apart."""

    def family(self, labels: Labels, records: Iterable[tuple[Labels, R]]) -> Family:
        """All values, ready to be written out; `labels` are those that tell the records apart."""
        names = (*labels, self.label) if self.label else labels
        family = self.kind(PREFIX + self.name, self.text, labels=names)
        for of_record, record in records:
            for of_value, value in self.values(record):
                self._add(family, (*of_record, *of_value), value)
        return family  # type: ignore[no-any-return]

    @staticmethod
    def _add(family: Any, labels: Labels, value: Any) -> None:
        if isinstance(value, Buckets):
            family.add_metric(labels, buckets=list(_cumulative(value)), sum_value=value.total)
        else:
            family.add_metric(labels, value)


def families(table: Iterable[Metric[R]], labels: Labels, records: Sequence[tuple[Labels, R]]) -> Iterator[Family]:
    """What a table's metrics are of some records."""
    for metric in table:
        yield metric.family(labels, records)


def counter(name: str, text: str, count: Callable[[R], float]) -> Metric[R]:
    """Only rises, for as long as what it belongs to is there."""
    return Metric(name, text, CounterMetricFamily, _one(count))


def counters(name: str, text: str, label: str, counts: Callable[[R], Mapping[str, float]]) -> Metric[R]:
    """Counters told apart by a label of few values."""
    return Metric(name, text, CounterMetricFamily, _each(counts), label)


def gauge(name: str, text: str, value: Callable[[R], float]) -> Metric[R]:
    """Rises and falls."""
    return Metric(name, text, GaugeMetricFamily, _one(value))


def gauges(name: str, text: str, label: str, values: Callable[[R], Mapping[str, float]]) -> Metric[R]:
    """Gauges told apart by a label of few values."""
    return Metric(name, text, GaugeMetricFamily, _each(values), label)


def histogram(name: str, text: str, buckets: Callable[[R], Buckets]) -> Metric[R]:
    """How values are distributed."""
    return Metric(name, text, HistogramMetricFamily, _one(buckets))


def doubling(first: float, count: int) -> tuple[float, ...]:
    """Bounds of which each is twice the one before."""
    return tuple(first * 2**power for power in range(count))


def _one(value: Callable[[R], Any]) -> Callable[[R], Iterator[tuple[Labels, Any]]]:
    def values(record: R) -> Iterator[tuple[Labels, Any]]:
        yield (), value(record)

    return values


def _each(counts: Callable[[R], Mapping[str, Any]]) -> Callable[[R], Iterator[tuple[Labels, Any]]]:
    def values(record: R) -> Iterator[tuple[Labels, Any]]:
        for word, value in counts(record).items():
            yield (word,), value

    return values


def _cumulative(buckets: Buckets) -> Iterator[tuple[str, int]]:
    bounds = [*map(floatToGoString, buckets.bounds), "+Inf"]
    return zip(bounds, accumulate(buckets.counts), strict=True)
