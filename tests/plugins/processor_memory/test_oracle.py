"""The whole page once more, as plainly as it can be written, compared with the plugin on any series of calls.

The oracle compares every model with the state, matches by the definition of Ratcliff and Obershelp instead of difflib,
keeps lists of what was seen instead of totals, and counts all statistics anew for every figure.
"""

from __future__ import annotations

from hashlib import sha1
from math import dist, log, log2, prod, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport import ProcessorSettings
from kato_transport_processor_memory import SequenceMemory


def flat(events):
    return [symbol for event in events for symbol in event]


def matching_blocks(a, b, i0=0, j0=0):
    """The longest common block, the earliest of them; then the same to its left and to its right."""
    sizes = [
        (size, -i, -j)
        for i in range(len(a))
        for j in range(len(b))
        for size in range(1, min(len(a) - i, len(b) - j) + 1)
        if a[i : i + size] == b[j : j + size]
    ]
    if not sizes:
        return []
    size, i, j = max(sizes)
    i, j = -i, -j
    left = matching_blocks(a[:i], b[:j], i0, j0)
    right = matching_blocks(a[i + size :], b[j + size :], i0 + i + size, j0 + j + size)
    return [*left, (i0 + i, j0 + j, size), *right]


def merged(blocks):
    """Blocks that touch on both sides are one."""
    found = []
    for i, j, size in blocks:
        if found and (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2]) == (i, j):
            found[-1] = (*found[-1][:2], found[-1][2] + size)
        else:
            found.append((i, j, size))
    return found


def mean(dicts):
    keys = dict.fromkeys(key for each in dicts for key in each)
    return {key: sum(each[key] for each in dicts if key in each) / sum(key in each for each in dicts) for key in keys}


class Oracle:
    def __init__(self, genes):
        self.genes, self.threshold = dict(genes), genes["recall_threshold"]
        self.forget()

    def forget(self):
        self.time, self.models, self.learnings, self.by_id = 0, {}, [], {}
        self.sums, self.new_sums = [], []
        self.clear()

    def clear(self):
        self.stm, self.symbols, self.percept, self.shown, self.felt, self.predictions = [], [], {}, {}, [], []

    def restarted(self):
        self.predictions, self.by_id = [], {}

    def change(self, name, value):
        self.genes[name] = value
        if name == "recall_threshold" and self.genes["era"] == "B":
            self.threshold = value

    def observe(self, strings, vectors, emotives, unique_id):
        self.time += 1
        self.percept = {
            "strings": strings,
            "vectors": vectors,
            "emotives": emotives,
            "path": ["KatoProcessor-kato-process"],
            "metadata": {},
        }
        arranged = sorted if self.genes["sort"] else list
        event = self.symbols = arranged(self.vector_symbols(vectors)) + arranged(strings)
        self.felt += [emotives]
        self.shown = mean(self.felt)
        if event:
            self.stm = [*self.stm, event]
            self.predictions = self.predict()
            if self.predictions:
                self.by_id.setdefault(unique_id, self.predictions)
        if 0 < self.genes["max_sequence_length"] <= len(self.stm):
            stm, predictions = self.stm, self.predictions
            name = self.learn()
            self.stm, self.predictions = (stm[-1:] if len(stm) > 1 else []), predictions
            return name
        return ""

    def vector_symbols(self, vectors):
        if not vectors:
            return []
        total = [float(sum(column)) for column in zip(*vectors, strict=True)]
        near = []
        if self.genes["era"] == "A":
            near = sorted((s for s in self.sums if len(s) == len(total)), key=lambda s: dist(s, total))[:3]
            if total not in self.sums + self.new_sums:
                self.new_sums.append(total)
        return list(dict.fromkeys("VECTOR|" + sha1(str(each).encode()).hexdigest() for each in [total, *near]))

    def learn(self):
        name = ""
        if len(flat(self.stm)) >= 2:
            name = sha1(str(self.stm).encode()).hexdigest()
            model = self.models.setdefault(name, {"name": name, "sequence": self.stm, "frequency": 0, "emotives": []})
            model["frequency"] += 1
            self.learnings.append(self.stm)
            averaged = {key: value for key, value in mean(self.felt).items() if value != 0}
            if averaged:
                model["emotives"] = [*model["emotives"], averaged][-self.genes["persistence"] :]
        self.sums, self.new_sums = self.sums + self.new_sums, []
        self.stm, self.felt = [], []
        return name and "MODEL|" + name

    def p(self, symbol):
        return sum(symbol in flat(s) for s in self.learnings) / sum(len(set(flat(s))) for s in self.learnings)

    def predict(self):
        state = flat(self.stm)
        if len(state) < {"A": 1, "B": 2}[self.genes["era"]]:
            return []
        found = [self.compared(model, state) for model in self.models.values()]
        found = [each for each in found if each is not None]
        relevant = {symbol for each in found for symbol in each["matches"] + each["missing"]}
        frequencies = sum(each["frequency"] for each in found)
        for each in found:
            self.add_figures(each, state, relevant, frequencies)
        ordered = sorted(found, key=lambda each: -round(each["potential"], 12))
        return ordered[: self.genes["max_predictions"]]

    def compared(self, model, state):
        symbols, sequence = flat(model["sequence"]), model["sequence"]
        blocks = merged(matching_blocks(symbols, state))
        size = sum(block[2] for block in blocks)
        similarity = 2 * size / (len(symbols) + len(state))
        if not blocks or similarity < self.threshold:
            return None
        first, last = blocks[0][0], blocks[-1][0] + blocks[-1][2] - 1
        starts = [len(flat(sequence[:n])) for n in range(len(sequence))]
        past = [event for event, start in zip(sequence, starts, strict=True) if start < first]
        present = [event for event, start in zip(sequence, starts, strict=True) if first <= start <= last]
        future = [event for event, start in zip(sequence, starts, strict=True) if start > last]
        matches = [symbol for _, j, length in blocks for symbol in state[j : j + length]]
        if past and matches[0] in past[-1]:
            present, past = [past[-1], *present], past[:-1]
        covered = {k for _, j, length in matching_blocks(flat(present), state) for k in range(j, j + length)}
        return {
            "type": "prototypical",
            "name": "MODEL|" + model["name"],
            "frequency": model["frequency"],
            "emotives": mean(model["emotives"]),
            "similarity": similarity,
            "matches": matches,
            "past": past,
            "present": present,
            "future": future,
            "missing": [symbol for symbol in flat(present) if symbol not in matches],
            "extras": [symbol for k, symbol in enumerate(state) if k not in covered],
            "evidence": size / len(symbols),
            "confidence": size / len(flat(present)),
            "fragmentation": len(blocks) - 1,
        }

    def add_figures(self, each, state, relevant, frequencies):
        present, known = flat(each["present"]), len(set(flat(flat(self.learnings))))
        m, e = len(each["matches"]), len(each["extras"])
        each["snr"] = (2 * m - e) / (2 * m + e)
        each["entropy"] = sum(-self.p(s) * log2(self.p(s)) for s in present)
        shares = [present.count(s) / len(present) for s in present]
        each["hamiltonian"] = sum(-q * log(q, known) for q in shares) if known > 1 else 0
        each["grand_hamiltonian"] = sum(-self.p(s) * log(self.p(s), known) for s in set(present)) if known > 1 else 0
        each["confluence"] = each["frequency"] / len(self.learnings) * (1 - prod(self.p(s) for s in present))
        axes = sorted(set(state) | set(present))
        u = [self.p(s) * state.count(s) * (s in relevant) for s in axes]
        v = [self.p(s) * present.count(s) * (s in relevant) for s in axes]
        dot = sum(x * y for x, y in zip(u, v, strict=True))
        d = 1 - dot / (sqrt(sum(x * x for x in u)) * sqrt(sum(y * y for y in v)))
        each["itfdf_similarity"] = 1 - d * each["frequency"] / frequencies
        each["potential"] = (
            (each["evidence"] + each["confidence"]) * each["snr"] + each["itfdf_similarity"] + 1 / (each["fragmentation"] + 1)
        )


numbers = st.sampled_from([-2, -1, 0, 0.5, 1, 3])
observations = st.tuples(
    st.just("observe"),
    st.lists(st.sampled_from("abcde"), max_size=3),
    st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(["joy", "fear"]), numbers, max_size=2),
    st.sampled_from(["1", "2", "3"]),
)
spoken = st.tuples(
    st.just("observe"), st.lists(st.sampled_from("abcde"), min_size=1, max_size=3), st.just([]), st.just({}), st.just("4")
)
changes = st.one_of(
    st.tuples(st.just("change"), st.just("recall_threshold"), st.sampled_from([0, 0.1, 0.4, 0.6, 1.0])),
    st.tuples(st.just("change"), st.just("max_predictions"), st.integers(0, 3)),
    st.tuples(st.just("change"), st.just("max_sequence_length"), st.integers(0, 3)),
    st.tuples(st.just("change"), st.just("persistence"), st.integers(1, 3)),
    st.tuples(st.just("change"), st.just("sort"), st.booleans()),
)
rare = st.sampled_from([("clear",), ("forget",), ("restart",)])
learning = st.just(("learn",))
calls = st.lists(st.one_of(observations, spoken, spoken, learning, learning, changes, rare), max_size=40)


def close_to(expected):
    """The same shape and symbols, with figures equal but for rounding."""
    if isinstance(expected, dict):
        return {key: close_to(value) for key, value in expected.items()}
    if isinstance(expected, list):
        return [close_to(value) for value in expected]
    return pytest.approx(expected, rel=1e-9, abs=2e-12) if isinstance(expected, float) else expected


def check(processor, oracle):
    """Everything that can be read is what the oracle says."""
    assert processor.get_predictions({}) == close_to(oracle.predictions)
    for unique_id in "12345":
        assert processor.get_predictions({"unique_id": unique_id}) == close_to(oracle.by_id.get(unique_id, []))
    assert processor.time == oracle.time
    assert processor.get_stm() == oracle.stm
    assert processor.get_percept_data() == oracle.percept
    cognition = processor.get_cognition_data()
    assert cognition["emotives"] == close_to(oracle.shown)
    assert cognition["symbols"] == oracle.symbols
    for name, model in oracle.models.items():
        assert processor.get_model(name) == close_to({**model, "emotives": model["emotives"] or {}})


@pytest.mark.parametrize("era", ["A", "B"])
@given(calls=calls, threshold=st.sampled_from([0.0, 0.1, 0.5]))
@settings(deadline=None, max_examples=150)
def test_any_series_of_calls_gives_what_the_page_says(era, calls, threshold):
    """In memory and in a file, with restarts in between; the restart of a processor in memory is left out.

    `run` asserts, after every call.
    """
    genome = {"era": era, "recall_threshold": threshold}
    for kept in (False, True):
        with TemporaryDirectory() as folder:
            run(calls, ProcessorSettings(genome=genome, data=Path(folder, "kato.db") if kept else None))


def run(calls, made_from):
    processor = SequenceMemory().create(made_from)
    oracle = Oracle(processor.get_genome())
    try:
        for kind, *arguments in calls:
            if kind == "observe":
                fields = dict(zip(("strings", "vectors", "emotives", "unique_id"), arguments, strict=True))
                assert processor.observe(fields).get("auto_learned_model", "") == oracle.observe(*arguments)
            elif kind == "learn":
                assert processor.learn() == oracle.learn()
            elif kind == "change":
                processor.gene_change(*arguments)
                oracle.change(*arguments)
            elif kind == "clear":
                processor.clear_stm()
                oracle.clear()
            elif kind == "forget":
                processor.clear_all_memory()
                oracle.forget()
            elif made_from.data is not None:
                processor.close()
                processor = SequenceMemory().create(made_from)
                oracle.restarted()
            check(processor, oracle)
    finally:
        processor.close()
