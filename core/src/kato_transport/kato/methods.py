"""KATO's methods, row by row: wire name to handler, with the key and words of the era and framing that was called.

The short-term memory was called working memory until 2025-08-28; both vocabularies always work, and an answer speaks the
one it was asked in. Source: the KATO contract, "Methods".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from kato_transport.errors import ServiceError
from kato_transport.kato.engine import Engine
from kato_transport.model import ErrorCode, Request
from kato_transport.processors import checked_observation, checked_sequence

MODEL_PREFIX = "MODEL|"

Answer = dict[str, Any]


@frozen
class Method:
    """One row: its handler, and whether it only reads."""

    handle: Callable[[Engine, Request], Answer]
    reads: bool = False
    bare: bool = False
    """The answer is what the handler gives in the improved framing, without a status."""


def get_name(engine: Engine, request: Request) -> Answer:
    return {**_stamp(engine), "message": engine.name}


def observe(engine: Engine, request: Request) -> Answer:
    observation = checked_observation(request.params)
    learned = _auto_learned(engine.observe(observation))
    answer = {**_stamp(engine), "message": "observed", "unique_id": observation["unique_id"]}
    return {**answer, "auto_learned_model": learned} if learned else answer


def observe_sequence(engine: Engine, request: Request) -> Answer:
    """Many observations, and what is to be learned of them, as KATO's later API has it."""
    sequence = checked_sequence(request.params)
    results: list[Answer] = []
    learned: list[str] = []
    for index, observation in enumerate(sequence["observations"]):
        try:
            if sequence["clear_stm_between"] and index:
                engine.clear_stm()
            on_the_way = _auto_learned(engine.observe(observation))
            learned += filter(None, (on_the_way, engine.learn() if sequence["learn_after_each"] else None))
        except ServiceError as exc:
            text = f"{request.method}: observations[{index}]: {exc.message}; the {index} before it were observed"
            raise ServiceError(text, exc.code) from exc
        result = {"unique_id": observation["unique_id"], "interval": engine.time}
        results.append({**result, "auto_learned_model": on_the_way} if on_the_way else result)
    final = engine.learn() if sequence["learn_at_end"] and results else ""
    answer = {**_stamp(engine), "message": "observed", "results": results}
    return {**answer, "auto_learned_models": learned, "final_learned_model": final or ""}


def learn(engine: Engine, request: Request) -> Answer:
    name = engine.learn()
    message = "learning-called" if request.framing == "basic" else name
    return {**_stamp(engine), "model_name": name, "message": message}


def get_predictions(engine: Engine, request: Request) -> Answer:
    asked = request.params.get("unique_id")
    if isinstance(asked, str):
        asked = {"unique_id": asked}
    if asked is not None and not isinstance(asked, Mapping):
        raise ServiceError('get_predictions: unique_id must be left out, {} or {"unique_id": string}')
    return _data(request, "predictions", [_prefixed(found) for found in engine.get_predictions(asked or {})])


def clear_short_term_memory(engine: Engine, request: Request) -> Answer:
    engine.clear_stm()
    word = "wm-cleared" if request.framing == "basic" or _is_era_a(request.method) else "stm-cleared"
    return {**_stamp(engine), "message": word}


def clear_all_memory(engine: Engine, request: Request) -> Answer:
    engine.clear_all_memory()
    return {**_stamp(engine), "message": "all-cleared"}


def get_short_term_memory(engine: Engine, request: Request) -> Answer:
    key = "working_memory" if _is_era_a(request.method) else "short_term_memory"
    return _data(request, key, engine.get_stm())


def get_percept_data(engine: Engine, request: Request) -> Answer:
    return _data(request, "percept_data", engine.get_percept_data())


def get_cognition_data(engine: Engine, request: Request) -> Answer:
    found = dict(engine.get_cognition_data())
    memory = found.get("short_term_memory", found.get("working_memory", []))
    return _data(request, "cognition_data", {**found, "short_term_memory": memory, "working_memory": memory})


def get_gene(engine: Engine, request: Request) -> Answer:
    name = _text(request, "gene_name")
    return {"gene_name": name, "gene_value": engine.get_gene(name)}


def gene_change(engine: Engine, request: Request) -> Answer:
    name, value = request.params.get("gene_name"), request.params.get("gene_value")
    if not isinstance(name, str) or not name or value is None:
        raise ServiceError("gene_name and gene_value parameters required")
    engine.gene_change(name, value)
    return {"message": f"Gene {name} updated to {value}"}


def get_model(engine: Engine, request: Request) -> Answer:
    asked = _text(request, "model_id")
    found = engine.get_model(asked.removeprefix(MODEL_PREFIX))
    if found is None:
        raise ServiceError(f"Model {asked} not found", ErrorCode.NOT_FOUND)
    return {
        "model": {
            "name": str(found.get("name", "")).removeprefix(MODEL_PREFIX),
            "sequence": found.get("sequence", []),
            "frequency": found.get("frequency", 0),
            "emotives": found.get("emotives") or {},
        }
    }


def get_genome(engine: Engine, request: Request) -> Answer:
    genome = dict(engine.get_genome())
    return {"genome": genome} if request.framing == "basic" else genome


METHODS: Mapping[str, Method] = {
    "get_name": Method(get_name, reads=True),
    "observe": Method(observe),
    "observe_sequence": Method(observe_sequence),
    "learn": Method(learn),
    "get_predictions": Method(get_predictions, reads=True),
    "clear_short_term_memory": Method(clear_short_term_memory),
    "clear_stm": Method(clear_short_term_memory),
    "clear_working_memory": Method(clear_short_term_memory),
    "clear_wm": Method(clear_short_term_memory),
    "clear_all_memory": Method(clear_all_memory),
    "clear_all": Method(clear_all_memory),
    "get_short_term_memory": Method(get_short_term_memory, reads=True),
    "get_stm": Method(get_short_term_memory, reads=True),
    "get_working_memory": Method(get_short_term_memory, reads=True),
    "get_wm": Method(get_short_term_memory, reads=True),
    "get_percept_data": Method(get_percept_data, reads=True),
    "get_cognition_data": Method(get_cognition_data, reads=True),
    "get_gene": Method(get_gene, reads=True),
    "gene_change": Method(gene_change),
    "change_gene": Method(gene_change),
    "get_model": Method(get_model, reads=True),
    "get_genome": Method(get_genome, reads=True, bare=True),
}

IDEMPOTENT = frozenset({"ping", *(name for name, method in METHODS.items() if method.reads)})
"""Methods that may be sent again when nobody knows whether the first attempt arrived."""


def _stamp(engine: Engine) -> Answer:
    return {"id": engine.id, "interval": engine.time, "time_stamp": time.time()}


def _auto_learned(result: Any) -> str:
    """The model that an observation made the engine learn; empty where it made none."""
    fields = result if isinstance(result, Mapping) else {}
    return fields.get("auto_learned_model") or fields.get("auto_learned_pattern") or ""


def _data(request: Request, key: str, value: Any) -> Answer:
    return {"data" if request.framing == "basic" else key: value}


def _is_era_a(method: str) -> bool:
    return method.endswith(("_wm", "_working_memory"))


def _prefixed(prediction: Mapping[str, Any]) -> Answer:
    name = str(prediction.get("name", ""))
    return {**prediction, "name": name if name.startswith(MODEL_PREFIX) else MODEL_PREFIX + name}


def _text(request: Request, key: str) -> str:
    value = request.params.get(key)
    if not isinstance(value, str) or not value:
        raise ServiceError(f"{key} parameter required")
    return value
