"""The description, the page that shows it, and the routing: one table, so they agree."""

import re

import pytest
from starlette.routing import compile_path

from kato_transport_rest.routes import ROUTES

CONTRACT = """
GET /kato-api/ping | GET /connect | GET /p/ping | GET /p/status | GET /p/short-term-memory | GET /p/predictions
POST /p/predictions | GET /p/percept-data | GET /p/cognition-data | GET /p/gene/NAME | GET /p/model/ID | POST /p/observe
POST /p/learn | POST /p/clear-all-memory | POST /p/clear-short-term-memory | POST /p/short-term-memory/clear
POST /p/genes/change | GET /p/working-memory | POST /p/clear-working-memory | POST /p/working-memory/clear
POST /p/observe-sequence | POST /kato-api/call | GET /healthz | GET /readyz | GET /openapi.json | GET / | GET /docs
"""


@pytest.fixture
def web(serve, processor):
    return serve(processor)


@pytest.fixture
def api(web):
    return web.get("/openapi.json").json


def operations(api):
    return [(verb.upper(), path, found) for path, verbs in api["paths"].items() for verb, found in verbs.items()]


def schemas(found):
    """Every schema in a part of the document, nested ones too."""
    if isinstance(found, dict):
        yield from (inner for key, value in found.items() for inner in schemas(value))
        if "type" in found or "anyOf" in found:
            yield found
    elif isinstance(found, list):
        yield from (inner for value in found for inner in schemas(value))


def test_the_document_has_what_openapi_asks_for(api):
    """Version 3.1."""
    assert api["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(api["info"])
    identifiers = [found["operationId"] for _, _, found in operations(api)]
    assert len(identifiers) == len(set(identifiers))
    for _, path, found in operations(api):
        assert path.startswith("/")
        assert found["responses"]
        assert all(answer["description"] for answer in found["responses"].values())
        in_path = {parameter["name"] for parameter in found["parameters"] if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
        assert all(parameter["required"] for parameter in found["parameters"] if parameter["in"] == "path")


def test_its_schemas_are_json_schema(api):
    """As far as they go."""
    found = list(schemas(api))
    assert found
    for schema in found:
        kinds = schema.get("type", "object")
        assert set([kinds] if isinstance(kinds, str) else kinds) <= {"object", "array", "string", "number", "boolean", "null"}
        assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
        assert schema.get("type") != "array" or "items" in schema


def test_its_references_lead_somewhere(api):
    """Within the document."""
    references = re.findall(r"'\$ref': '([^']+)'", str(api))
    assert references
    for reference in references:
        target = api
        for part in reference.removeprefix("#/").split("/"):
            assert part in target, reference
            target = target[part]


def test_every_row_of_the_contract_is_in_it(api):
    """And nothing else."""
    described = {(verb, re.sub(r"\{\w+\}", "*", path)) for verb, path, _ in operations(api)}
    wanted = {tuple(row.split()) for row in CONTRACT.replace("\n", "|").split("|") if row.strip()}
    names = {"p", "NAME", "ID"}
    assert described == {(verb, "/".join("*" if part in names else part for part in path.split("/"))) for verb, path in wanted}


def test_every_route_is_described_and_every_description_routed(api, web):
    """By asking for each: nothing described is a 404 for its path or a 405."""
    assert [(verb, path) for verb, path, _ in operations(api)] == sorted(
        ((route.verb, route.path) for route in ROUTES), key=lambda row: list(api["paths"]).index(row[1])
    )
    for verb, path, _ in operations(api):
        answer = web.request(verb, re.sub(r"\{\w+\}", "name", path))
        assert answer.status != 405
        assert "nothing is at" not in answer.data.decode()


def test_no_path_hides_another():
    """Where two fit, the one without names is meant to win; no other pair fits the same path."""
    patterns = [(route, compile_path(route.path)[0]) for route in ROUTES]
    for route in ROUTES:
        example = re.sub(r"\{\w+\}", "name", route.path)
        fitting = {other.path for other, pattern in patterns if pattern.fullmatch(example)}
        assert fitting - {route.path} <= {"/{processor_id}/ping"}


def test_answers_are_as_described(api, web):
    """Required fields are there, and no others."""
    web.post("/p1/observe", {"strings": ["a"], "vectors": [], "emotives": {}})
    own = ("ping", "status", "short-term-memory", "percept-data", "predictions")
    for path in ("/kato-api/ping", "/connect", "/healthz", "/readyz", *(f"/{{processor_id}}/{name}" for name in own)):
        schema = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = web.get(path.replace("{processor_id}", "p1")).json
        assert set(answer) == set(schema["required"])


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_page_is_served_whole(web, path):
    """As HTML that may load nothing."""
    answer = web.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b"</html>" in answer.data


def test_the_page_fetches_nothing_from_elsewhere(web):
    """No address of another host, no file but the description."""
    text = web.get("/docs").data.decode()
    assert "//" not in text
    assert set(re.findall(r"""(?:src|href)[=:]\s*["']([^"']*)["']""", text)) == {"openapi.json"}
    assert re.findall(r"fetch\(([^),]+)", text) == ['target + (query.size ? "?" + query : ""', '"openapi.json"']
    assert "@import" not in text
    assert "url(" not in text
