"""The rows of KATO's REST table: from each HTTP request to calls, and from their answers to the body KATO's clients read.

The bodies are the same whatever transport is behind: `basic` servers answer with `data` where `improved` ones use a key
of its own, and the words of the clears are those of the path's era. Source: the KATO contract, "REST gateway".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from kato_transport.http.answers import Refusal
from kato_transport.model import ErrorCode
from kato_transport.processors import checked_observation, checked_sequence
from kato_transport_rest.exchange import Exchange

Body = dict[str, Any]

_OBSERVED = ("strings", "vectors", "emotives")


async def kato_ping(exchange: Exchange) -> Body:
    return {"status": "okay"}


async def connect(exchange: Exchange) -> Body:
    answer = await exchange.ask("get_genome")
    wrapped = answer.get("genome")
    genome = dict(wrapped if isinstance(wrapped, Mapping) else answer)
    if "id" not in genome or "name" not in genome:
        own = await exchange.ask("get_name")
        genome = {"id": own.get("id"), "name": own.get("message"), **genome}
    node = {"id": genome["id"], "name": genome["name"], "classifier": genome.get("classifier") or "CVC"}
    genome.setdefault("elements", {"nodes": [{"data": node}]})
    return {"status": "okay", "message": "connected", "genome": genome}


async def ping(exchange: Exchange) -> Body:
    own = await exchange.call("get_name")
    name = own.get("message")
    return {**_stamped(exchange, own), "message": name, "processor": name}


async def status(exchange: Exchange) -> Body:
    own = await exchange.call("get_name")
    return {
        "status": "okay",
        "processor": own.get("message"),
        "id": own.get("id"),
        "time_stamp": own.get("time_stamp"),
        "interval": own.get("interval"),
        "message": own,
    }


async def short_term_memory(exchange: Exchange) -> Body:
    answer = await exchange.call("get_short_term_memory")
    own = await exchange.call("get_name")
    events = _data(answer, "short_term_memory")
    return {"message": events, "time_stamp": own.get("time_stamp"), "interval": own.get("interval")}


async def predictions(exchange: Exchange) -> Body:
    unique_id = exchange.query("unique_id")
    params = {"unique_id": {"unique_id": unique_id}} if unique_id else {}
    return {"message": _data(await exchange.call("get_predictions", params), "predictions")}


async def percept_data(exchange: Exchange) -> Body:
    return {"message": _data(await exchange.call("get_percept_data"), "percept_data")}


async def cognition_data(exchange: Exchange) -> Body:
    return {"message": _data(await exchange.call("get_cognition_data"), "cognition_data")}


async def gene(exchange: Exchange) -> Body:
    name = exchange.names["gene_name"]
    value = (await exchange.call("get_gene", {"gene_name": name})).get("gene_value")
    if value is None:
        raise Refusal(404, f"Unknown gene: {name}", ErrorCode.NOT_FOUND)
    return {"gene_name": name, "gene_value": value, "message": value}


async def model(exchange: Exchange) -> Body:
    return {"message": _data(await exchange.call("get_model", {"model_id": exchange.names["model_id"]}), "model")}


async def observe(exchange: Exchange) -> Body:
    observation = _observation(await exchange.fields(), exchange.site.unique_ids)
    answer = await exchange.call("observe", observation)
    learned = answer.get("auto_learned_model") or None
    return {**await _stamp(exchange, answer), "message": {"status": "observed", "auto_learned_model": learned}}


async def observe_sequence(exchange: Exchange) -> Body:
    fields = await exchange.fields()
    wrapped = "data" in fields and "observations" not in fields
    sequence = checked_sequence(_map(fields["data"], "data") if wrapped else fields)
    answer = await exchange.call("observe_sequence", sequence)
    results = [{"auto_learned_model": None, **result} for result in _data(answer, "results")]
    learned = {name: answer.get(name) for name in ("auto_learned_models", "final_learned_model")}
    return {**await _stamp(exchange, answer), "message": {"status": "observed", "results": results, **learned}}


async def learn(exchange: Exchange) -> Body:
    data = await exchange.body()
    if data.strip():
        exchange.parsed(data)
    answer = await exchange.call("learn")
    return {**await _stamp(exchange, answer), "message": answer.get("model_name") or ""}


def clearing(method: str, word: str) -> Callable[[Exchange], Awaitable[Body]]:
    """The handler of a clear, whose answer says `word`."""

    async def clear(exchange: Exchange) -> Body:
        return {**await _stamp(exchange, await exchange.call(method)), "message": word}

    return clear


async def change_genes(exchange: Exchange) -> Body:
    genes = _genes(await exchange.fields())
    processor_id = await exchange.resolved_processor()  # also where there is nothing to change
    for name, value in genes.items():
        await exchange.ask("gene_change", {"gene_name": name, "gene_value": value}, processor_id)
    return {"id": exchange.processor_id, "status": "okay", "message": "updated-genes"}


def _observation(fields: Mapping[str, Any], unique_ids: Iterator[str]) -> dict[str, Any]:
    """The observation in a body: at its top, or else under `data`; `ServiceError` names the field that is wrong."""
    found = {name: value for name, value in fields.items() if name != "data"}
    if "data" in fields and not any(name in fields for name in _OBSERVED):
        found |= _map(fields["data"], "data")
    if found.get("unique_id") is None:
        found["unique_id"] = next(unique_ids)
    return checked_observation(found)


def _genes(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The genes to change by name, in the body's order."""
    if "data" in fields:
        genes = _map(fields["data"], "data")
    else:
        genes = {_text(fields.get("gene_name"), "gene_name"): fields.get("gene_value")}
    for name, value in genes.items():
        if value is None:
            missing = f"data: {name}" if "data" in fields else "gene_value"
            raise Refusal(400, f"{missing} must be a value, not null", ErrorCode.INVALID_PARAMS)
    return genes


def _map(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, f"{name} must be a JSON object", ErrorCode.INVALID_PARAMS)
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name} must be a string that is not empty", ErrorCode.INVALID_PARAMS)
    return value


def _data(answer: Mapping[str, Any], key: str) -> Any:
    """What an answer is about: under its own key, or under `data` where the server behind is a basic one."""
    for name in (key, "data"):
        if name in answer:
            return answer[name]
    raise Refusal(500, f"the server's answer holds no {key}", ErrorCode.INTERNAL)


async def _stamp(exchange: Exchange, answer: Mapping[str, Any]) -> Body:
    """The head of an answer; servers that leave the interval out are asked for it."""
    return _stamped(exchange, answer if "interval" in answer else await exchange.call("get_name"))


def _stamped(exchange: Exchange, own: Mapping[str, Any]) -> Body:
    return {
        "id": exchange.processor_id,
        "interval": own.get("interval"),
        "time_stamp": own.get("time_stamp"),
        "status": "okay",
    }
