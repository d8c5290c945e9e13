"""Queries of an index service from the command line, over HTTP or any request transport."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

import kato_transport as kt
from kato_transport.endpoints import http_address

PATHS: Final = {"kv.match": ("POST", "/kv/match"), "kv.sources": ("GET", "/kv/sources")}
"""Where a method is over HTTP."""
F = TypeVar("F", bound=Callable[..., Any])


def query_options(function: F) -> F:
    """The options that every query has."""
    options = (
        click.option("--endpoint", required=True, help="Where `kv serve` is: http://HOST:PORT or tcp://HOST:PORT."),
        click.option("--transport", help="For tcp endpoints; by default KATO_ZMQ_IMPLEMENTATION."),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=5.0,
            show_default=True,
            help="Seconds to wait for the answer.",
        ),
        click.option("--json", "as_lines", is_flag=True, help="JSON, as it is printed anyway where the output is no terminal."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def wants_json(as_lines: bool) -> bool:
    """Whether programs are to read the output."""
    return as_lines or not sys.stdout.isatty()


def ask(endpoint: str, transport: str | None, timeout_s: float, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The answer; a `TransportError` says why there is none."""
    if endpoint.startswith(("http://", "https://")):
        return _over_http(endpoint, timeout_s, method, params)
    with kt.connect(endpoint, transport=transport, timeout_s=timeout_s) as client:
        return client.call(method, params)


def _over_http(endpoint: str, timeout_s: float, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    verb, path = PATHS[method]
    connection = http.client.HTTPConnection(*http_address(endpoint), timeout=timeout_s)
    try:
        connection.request(verb, path, json.dumps(params) if params else None)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except TimeoutError as exc:
        raise kt.CallTimeout(method, timeout_s, endpoint) from exc
    except OSError as exc:
        raise kt.ConnectFailed(f"{endpoint}: {exc.strerror or exc}") from exc
    except (http.client.HTTPException, ValueError) as exc:
        raise _no_index_service(endpoint) from exc
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise _no_index_service(endpoint)
    if response.status != http.client.OK:
        raise kt.RemoteError(method, str(answer.get("message", "")), str(answer.get("code", "")))
    return answer


def _no_index_service(endpoint: str) -> kt.RemoteProtocolError:
    return kt.RemoteProtocolError(f"{endpoint}: what answers there is no index service")
