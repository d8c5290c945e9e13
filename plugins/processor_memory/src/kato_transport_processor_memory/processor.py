"""KATO's processor as a sequence memory: observes events, learns their sequences, predicts from what it has learned."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from kato_transport import ProcessorSettings, ServiceError
from kato_transport_processor_memory import emotives
from kato_transport_processor_memory.genes import Genes, read_genes
from kato_transport_processor_memory.history import History
from kato_transport_processor_memory.memory import LearnedModels
from kato_transport_processor_memory.models import PREFIX, Events, LearnedModel, as_lists, flatten
from kato_transport_processor_memory.moment import Moment
from kato_transport_processor_memory.observation import Observation, read_observation
from kato_transport_processor_memory.plain import plain_copy
from kato_transport_processor_memory.predictions import Prediction, predict
from kato_transport_processor_memory.rows import Saved
from kato_transport_processor_memory.store import FileStore, Nowhere, Store
from kato_transport_processor_memory.vectors import VectorSum, nearest

SYMBOLS_TO_LEARN = 2


def open_processor(settings: ProcessorSettings) -> MemoryProcessor:
    """A processor with what its file holds; `InvalidSetting` for a genome or a path that cannot be used.

    Genes that were changed stay changed. Only the id goes by the settings, if they have one: it is what the processor is
    addressed by.
    """
    genes = read_genes(settings.genome, settings.processor_id)
    store: Store = Nowhere() if settings.data is None else FileStore(Path(settings.data), genes.get("id"))
    saved = store.load()
    changes = {name: value for name, value in saved.genes.items() if not (name == "id" and settings.processor_id)}
    return MemoryProcessor(genes.with_changes(changes), store, saved)


class MemoryProcessor:
    """Satisfies `kato_transport.Processor`.

    What changes it takes a lock and is saved before it shows; reads take none. `close` lets go of the file.
    """

    def __init__(self, genes: Genes, store: Store, saved: Saved) -> None:
        self._lock = threading.Lock()
        self._store = store
        self._genes = genes
        self._moment = saved.moment
        self._memory = _recalled(saved.models)
        self._history = History()
        self._let_go = weakref.finalize(self, store.close)
        self.id: str = genes.get("id")
        self.name: str = genes.get("name")
        self.time: int = saved.moment.time

    # --- what changes it ----------------------------------------------------------------------------------------

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Take one observation; `ServiceError` names what is wrong with it, and then nothing is changed."""
        seen = read_observation(observation)
        with self._lock:
            perceived = self._perceived(seen)
            after, learned = self._learned_if_long(perceived)
            self._commit(after, learned)
            if perceived.symbols:
                self._history.add(seen.unique_id, perceived.predictions)
        answer = {"unique_id": seen.unique_id}
        return {**answer, "auto_learned_model": PREFIX + learned.name} if learned else answer

    def learn(self) -> str:
        """Learn the short-term memory and clear it; gives `MODEL|` + name, or `""` for fewer than two symbols."""
        with self._lock:
            after, learned = self._learned(self._moment)
            self._commit(after, learned)
        return PREFIX + learned.name if learned else ""

    def clear_stm(self) -> None:
        """Forget the short-term memory and what goes with it; lists of predictions can still be asked for by their id."""
        with self._lock:
            self._commit(self._moment.without_short_term_memory())

    def clear_all_memory(self) -> None:
        """Forget everything but the genes."""
        with self._lock:
            self._store.forget()
            self._memory, self._history = LearnedModels(), History()
            self._show(Moment())

    def gene_change(self, gene_name: str, gene_value: Any) -> None:
        """Set a gene; `ServiceError` for an unknown one, `era`, or a value of a wrong type."""
        with self._lock:
            genes = self._genes.change(gene_name, gene_value)
            self._store.save_gene(gene_name, genes.get(gene_name))
            self._genes = genes
            self.id, self.name = genes.get("id"), genes.get("name")

    def close(self) -> None:
        """Let go of the file; idempotent. Nothing can be changed afterwards in a processor that had one."""
        self._let_go()

    # --- what reads it ------------------------------------------------------------------------------------------

    def get_predictions(self, unique_id: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The last list, or the one made at the observation of `{"unique_id": id}`."""
        asked = unique_id.get("unique_id")
        if not isinstance(asked, str | None):
            raise ServiceError("get_predictions: unique_id must be a string")
        return _written(self._moment.predictions if asked is None else self._history.get(asked))

    def get_stm(self) -> list[list[str]]:
        return as_lists(self._moment.stm)

    def get_percept_data(self) -> dict[str, Any]:
        """The last observation; empty where there was none since the last clear."""
        percept: dict[str, Any] = plain_copy(dict(self._moment.percept))
        return percept

    def get_cognition_data(self) -> dict[str, Any]:
        """What the last observation brought to mind."""
        moment = self._moment
        percept = plain_copy(dict(moment.percept))
        return {
            "predictions": _written(moment.predictions),
            "emotives": dict(moment.emotives),
            "symbols": list(moment.symbols),
            "command": "",
            "metadata": percept.get("metadata", {}),
            "path": percept.get("path", []),
            "strings": percept.get("strings", []),
            "vectors": [],
            "short_term_memory": as_lists(moment.stm),
            "working_memory": as_lists(moment.stm),
        }

    def get_gene(self, gene_name: str) -> Any:
        """A gene's value, or None where it is unknown."""
        return plain_copy(self._genes.get(gene_name))

    def get_genome(self) -> dict[str, Any]:
        """All genes, those of the genome that have no meaning here among them."""
        return self._genes.as_genome()

    def get_model(self, model_id: str) -> dict[str, Any] | None:
        """A learned model by its name with or without prefix, or None."""
        model = self._memory.get(model_id.removeprefix(PREFIX))
        if model is None:
            return None
        return {
            "name": model.name,
            "sequence": as_lists(model.sequence),
            "frequency": model.frequency,
            "emotives": [dict(felt) for felt in model.emotives] or {},
        }

    # --- inside -------------------------------------------------------------------------------------------------

    def _perceived(self, seen: Observation) -> Moment:
        """The moment after an observation, before any learning."""
        before = self._moment
        vector_symbols, sums = self._vector_symbols(seen.vector_sum)
        event = (*self._arranged(vector_symbols), *self._arranged(seen.strings))
        stm = (*before.stm, event) if event else before.stm
        felt = emotives.add(before.felt, seen.emotives)
        return evolve(
            before,
            time=before.time + 1,
            stm=stm,
            symbols=event,
            percept=seen.percept(f"{self.name}-{self.id}-process"),
            emotives=emotives.mean(felt),
            felt=felt,
            sums=sums,
            predictions=self._predictions(stm) if event else before.predictions,
        )

    def _vector_symbols(self, vector_sum: VectorSum | None) -> tuple[list[str], tuple[VectorSum, ...]]:
        """The symbols of an observation's vectors, and all sums observed so far; era A joins the nearest known ones."""
        sums = self._moment.sums
        if vector_sum is None:
            return [], sums
        if self._genes.era != "A":
            return [vector_sum.name], sums
        neighbours = nearest(sums[: self._moment.known_sums], vector_sum)
        names = dict.fromkeys(found.name for found in (vector_sum, *neighbours))
        return list(names), sums if vector_sum in sums else (*sums, vector_sum)

    def _arranged(self, symbols: Iterable[str]) -> Iterable[str]:
        return sorted(symbols) if self._genes.get("sort") else symbols

    def _predictions(self, stm: Events) -> tuple[Prediction, ...]:
        state = flatten(stm)
        if len(state) < (1 if self._genes.era == "A" else 2):
            return ()
        return predict(state, self._memory, self._genes.recall_threshold, self._genes.get("max_predictions"))

    def _learned(self, moment: Moment) -> tuple[Moment, LearnedModel | None]:
        """The moment after learning it, and the model as it will be; None where there is too little to learn."""
        after = evolve(moment, stm=(), felt={}, known_sums=len(moment.sums))
        if len(flatten(moment.stm)) < SYMBOLS_TO_LEARN:
            return after, None
        felt = emotives.mean(moment.felt)
        return after, self._memory.learned(moment.stm, felt, self._genes.get("persistence"))

    def _learned_if_long(self, moment: Moment) -> tuple[Moment, LearnedModel | None]:
        """Learning by itself, once the short-term memory is as long as the gene says; its last event starts the next."""
        limit = self._genes.get("max_sequence_length")
        if limit <= 0 or len(moment.stm) < limit:
            return moment, None
        after, learned = self._learned(moment)
        return evolve(after, stm=moment.stm[-1:] if len(moment.stm) > 1 else ()), learned

    def _commit(self, after: Moment, learned: LearnedModel | None = None) -> None:
        """Save first: where that fails, nothing has changed here either."""
        self._store.save(self._moment, after, learned)
        if learned is not None:
            self._memory.put(learned)
        self._show(after)

    def _show(self, moment: Moment) -> None:
        self._moment, self.time = moment, moment.time


def _recalled(models: Iterable[LearnedModel]) -> LearnedModels:
    memory = LearnedModels()
    for model in models:
        memory.put(model)
    return memory


def _written(predictions: tuple[Prediction, ...]) -> list[dict[str, Any]]:
    return [prediction.as_map() for prediction in predictions]
