"""The one table of routes: it does the routing, and the API's description is made from it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.responses import Response

from kato_transport.http import openapi
from kato_transport.http.openapi import BOOLEAN, MAP, NUMBER, STRING, any_of, array, constant, nullable, record
from kato_transport.http.routing import Handler, Route, Schema
from kato_transport_rest import calls, kato
from kato_transport_rest.client import CALL_PATH
from kato_transport_rest.exchange import Exchange

KATO = "KATO"
ERA_A = "KATO, older names"
SYSTEM = "Gateway"

EVENTS = array(array(STRING))
_STAMP = {"id": STRING, "interval": NUMBER, "time_stamp": NUMBER, "status": constant("okay")}
_OBSERVATION = record(
    strings=array(STRING),
    vectors=array(array(NUMBER)),
    emotives=MAP,
    optional={"unique_id": STRING, "path": {}, "metadata": {}},
)
_SEQUENCE = record(
    observations=array(record(optional=_OBSERVATION["properties"])),
    optional={"learn_after_each": BOOLEAN, "learn_at_end": BOOLEAN, "clear_stm_between": BOOLEAN},
)
_RESULT = record(unique_id=STRING, interval=NUMBER, auto_learned_model=nullable(STRING))
_MODEL = record(name=STRING, sequence=EVENTS, frequency=NUMBER, emotives={})
_STM = record(message=EVENTS, time_stamp=NUMBER, interval=NUMBER)
_OKAY = record(status=constant("okay"))
_REQUEST = record(method=STRING, optional={"params": MAP, "processor_id": STRING, "timeout_s": NUMBER, "trace": STRING})


async def _description(exchange: Exchange) -> Response:
    return Response(description(), media_type="application/json")


async def _page(exchange: Exchange) -> Response:
    return Response(_html(), headers={"content-security-policy": _PAGE_POLICY}, media_type="text/html")


def _get(path: str, handle: Handler[Exchange], summary: str, answer: Schema, group: str = KATO) -> Route[Exchange]:
    return Route(verb="GET", path=path, handle=handle, summary=summary, answer=answer, group=group)


def _system(path: str, handle: Handler[Exchange], summary: str, answer: Schema, asks_upstream: bool = False) -> Route[Exchange]:
    return Route(
        verb="GET", path=path, handle=handle, summary=summary, answer=answer, group=SYSTEM, asks_upstream=asks_upstream
    )


def _clear_stm(path: str, word: str, group: str = KATO) -> Route[Exchange]:
    return Route(
        verb="POST",
        path=path,
        handle=kato.clearing("clear_short_term_memory", word),
        group=group,
        summary="Forget the short-term memory",
        answer=record(**_STAMP, message=constant(word)),
    )


def _predictions(verb: str) -> Route[Exchange]:
    return Route(
        verb=verb,
        path="/{processor_id}/predictions",
        handle=kato.predictions,
        group=KATO,
        summary="The predictions made at the last observation, or at one of them",
        query={"unique_id": "The observation's unique_id"},
        answer=record(message=array(MAP)),
    )


ROUTES = (
    _system("/kato-api/ping", kato.kato_ping, "The gateway is alive", _OKAY),
    _get(
        "/connect",
        kato.connect,
        "The genome of the first processor",
        record(status=constant("okay"), message=constant("connected"), genome=MAP),
    ),
    _get("/{processor_id}/ping", kato.ping, "The processor is alive", record(**_STAMP, message=STRING, processor=STRING)),
    _get(
        "/{processor_id}/status",
        kato.status,
        "The processor's name, id and time",
        record(status=constant("okay"), processor=STRING, id=STRING, time_stamp=NUMBER, interval=NUMBER, message=MAP),
    ),
    Route(
        verb="POST",
        path="/{processor_id}/observe",
        handle=kato.observe,
        summary="Take one observation",
        group=KATO,
        body=any_of(_OBSERVATION, record(data=_OBSERVATION)),
        answer=record(**_STAMP, message=record(status=constant("observed"), auto_learned_model=nullable(STRING))),
    ),
    Route(
        verb="POST",
        path="/{processor_id}/observe-sequence",
        handle=kato.observe_sequence,
        summary="Take many observations, and learn each or all of them",
        group=KATO,
        body=any_of(_SEQUENCE, record(data=_SEQUENCE)),
        answer=record(
            **_STAMP,
            message=record(
                status=constant("observed"),
                results=array(_RESULT),
                auto_learned_models=array(STRING),
                final_learned_model=STRING,
            ),
        ),
    ),
    Route(
        verb="POST",
        path="/{processor_id}/learn",
        handle=kato.learn,
        summary="Learn the short-term memory",
        group=KATO,
        body={},
        body_required=False,
        answer=record(**_STAMP, message=STRING),
    ),
    _predictions("GET"),
    _predictions("POST"),
    _get("/{processor_id}/short-term-memory", kato.short_term_memory, "The short-term memory", _STM),
    _clear_stm("/{processor_id}/clear-short-term-memory", "stm-cleared"),
    _clear_stm("/{processor_id}/short-term-memory/clear", "stm-cleared"),
    Route(
        verb="POST",
        path="/{processor_id}/clear-all-memory",
        handle=kato.clearing("clear_all_memory", "all-cleared"),
        summary="Forget everything but the genes",
        group=KATO,
        answer=record(**_STAMP, message=constant("all-cleared")),
    ),
    _get("/{processor_id}/percept-data", kato.percept_data, "The last observation", record(message=MAP)),
    _get(
        "/{processor_id}/cognition-data",
        kato.cognition_data,
        "Predictions, emotives, symbols and short-term memory",
        record(message=MAP),
    ),
    _get("/{processor_id}/gene/{gene_name}", kato.gene, "A gene's value", record(gene_name=STRING, gene_value={}, message={})),
    Route(
        verb="POST",
        path="/{processor_id}/genes/change",
        handle=kato.change_genes,
        group=KATO,
        summary="Set genes in the order given; the first one refused ends it",
        body=any_of(record(data=MAP), record(gene_name=STRING, gene_value={})),
        answer=record(id=STRING, status=constant("okay"), message=constant("updated-genes")),
    ),
    _get(
        "/{processor_id}/model/{model_id}",
        kato.model,
        "A learned model, by its name with or without MODEL|",
        record(message=_MODEL),
    ),
    _get("/{processor_id}/working-memory", kato.short_term_memory, "The short-term memory", _STM, ERA_A),
    _clear_stm("/{processor_id}/clear-working-memory", "wm-cleared", ERA_A),
    _clear_stm("/{processor_id}/working-memory/clear", "wm-cleared", ERA_A),
    Route(
        verb="POST",
        path=CALL_PATH,
        handle=calls.call,
        group=SYSTEM,
        body=_REQUEST,
        answer=MAP,
        summary="Any method, in the wire's own maps; JSON or MessagePack",
        content_types=("application/json", "application/msgpack"),
    ),
    _system("/healthz", calls.alive, "This process is alive", _OKAY),
    _system("/readyz", calls.ready, "The server behind answers", _OKAY, asks_upstream=True),
    _system("/openapi.json", _description, "This description", MAP),
    _system("/", _page, "A page that shows this description and tries calls out", {}),
    _system("/docs", _page, "The same page", {}),
)

API = openapi.Api(
    title="KATO REST gateway",
    distribution="kato-transport-rest",
    description="Calls of KATO processors over HTTP.",
    refusals={
        400: "Bad input; the message names the field",
        404: "No such processor, model, gene or method",
        413: "The body is too large",
        415: "The content type is not read here",
        500: "Internal error, or the body is not JSON",
        503: "The server behind is busy or not there; try again after `Retry-After` seconds",
        504: "No answer in time",
    },
)

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


@cache
def description() -> bytes:
    """The API's OpenAPI document."""
    return openapi.document(API, ROUTES)


@cache
def _html() -> bytes:
    return files("kato_transport_rest").joinpath("page.html").read_bytes()
