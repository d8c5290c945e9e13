"""Queries of an index service from the command line, over HTTP or any request transport."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from attrs import frozen

import kato_transport as kt
from kato_transport.endpoints import http_address
from kato_transport_kv_events.cli.seconds import Seconds

F = TypeVar("F", bound=Callable[..., Any])


def query_options(function: F) -> F:
    """The options that every query has."""
    options = (
        click.option("--endpoint", required=True, help="Where `kv serve` is: http://HOST:PORT or tcp://HOST:PORT."),
        click.option("--transport", help="For tcp endpoints; by default KATO_ZMQ_IMPLEMENTATION."),
        click.option(
            "--timeout",
            "timeout_s",
            type=Seconds(min_open=True),
            default=5.0,
            show_default=True,
            help="Seconds to wait for the answer.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


json_option = click.option(
    "--json", "as_lines", is_flag=True, help="JSON, as it is printed anyway where the output is no terminal."
)


def wants_json(as_lines: bool) -> bool:
    """Whether programs are to read the output."""
    return as_lines or not sys.stdout.isatty()


@frozen
class Service:
    """An index service, over HTTP or a request transport; a `TransportError` says why there is no answer."""

    endpoint: str
    transport: str | None
    timeout_s: float

    @property
    def is_http(self) -> bool:
        return self.endpoint.startswith(("http://", "https://"))

    def ask(self, verb: str, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer of a query, over HTTP that of its path."""
        if not self.is_http:
            return self.call(method, params)
        return self._as_json(self.fetch(verb, method, params))

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer of a method of a request transport, without the status that HTTP says in its own way."""
        with kt.connect(self.endpoint, transport=self.transport, timeout_s=self.timeout_s) as client:
            answer = client.call(method, params)
        return {name: value for name, value in answer.items() if name != "status"}

    def fetch(self, verb: str, method: str, params: Mapping[str, Any] | None = None) -> bytes:
        """What HTTP answers at the method's path."""
        connection = http.client.HTTPConnection(*http_address(self.endpoint), timeout=self.timeout_s)
        try:
            connection.request(verb, f"/{method.replace('.', '/')}", None if params is None else json.dumps(params))
            response = connection.getresponse()
            body = response.read()
        except TimeoutError as exc:
            raise kt.CallTimeout(method, self.timeout_s, self.endpoint) from exc
        except OSError as exc:
            raise kt.ConnectFailed(f"{self.endpoint}: {exc.strerror or exc}") from exc
        except http.client.HTTPException as exc:
            raise self.stranger() from exc
        finally:
            connection.close()
        if response.status == http.client.OK:
            return body
        refusal = self._as_json(body)
        raise kt.RemoteError(method, str(refusal.get("message", "")), str(refusal.get("code", "")))

    def stranger(self) -> kt.RemoteProtocolError:
        """The error that says that something else answers there."""
        return kt.RemoteProtocolError(f"{self.endpoint}: what answers there is no index service")

    def _as_json(self, body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except ValueError as exc:
            raise self.stranger() from exc
        if not isinstance(found, dict):
            raise self.stranger()
        return found
