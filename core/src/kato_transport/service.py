"""From whatever a user serves to one `Service`: a function, a table of functions, a processor, or several."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kato_transport.batch import BATCH
from kato_transport.contracts import Service
from kato_transport.errors import ConfigurationError, ServiceError
from kato_transport.kato.service import ProcessorService
from kato_transport.lanes import CONCURRENT, INLINE
from kato_transport.model import ErrorCode, Request, Response

RESERVED = frozenset({"ping", BATCH})


class FunctionTable:
    """A service of named functions: each gets the params as keyword arguments and returns the answer's fields."""

    def __init__(self, functions: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
        for name, function in functions.items():
            if name in RESERVED:
                raise ConfigurationError(f"method {name!r} is answered by every server itself; give the function another name")
            if not callable(function) or inspect.iscoroutinefunction(function):
                raise ConfigurationError(f"method {name!r}: expected a plain function, not {function!r}")
        self._functions = dict(functions)
        self._inline = frozenset(name for name, function in functions.items() if getattr(function, "kato_inline", False))

    def lane(self, request: Request) -> str:
        return INLINE if request.method in self._inline else CONCURRENT

    def __call__(self, request: Request) -> Response:
        function = self._functions.get(request.method)
        if function is None:
            raise ServiceError(f"Unknown method: {request.method}", ErrorCode.UNKNOWN_METHOD)
        try:
            answer = function(**request.params)
        except TypeError as exc:
            _refuse_misfit(function, request, exc)
            raise
        if not isinstance(answer, (dict, Mapping)):  # dict first, as abstract types take six times as long to ask
            raise TypeError(f"{request.method} returned {type(answer).__name__}, not a map")
        return Response({"status": "okay", **answer})


def _refuse_misfit(function: Callable[..., Any], request: Request, exc: TypeError) -> None:
    """Tell params that do not fit from a TypeError inside the function; only asked once something went wrong."""
    try:
        inspect.signature(function).bind(**request.params)
    except TypeError as misfit:
        raise ServiceError(f"{request.method}: {misfit}", ErrorCode.INVALID_PARAMS) from exc
    except ValueError:
        return  # a builtin without a signature: nobody can tell


def as_service(served: Any) -> Service:
    """The service in whatever was given to `serve`; `ConfigurationError` where there is none."""
    if isinstance(served, Mapping):
        return FunctionTable(served)
    if _is_processor(served):
        served = [served]
    if isinstance(served, Sequence) and not isinstance(served, (str, bytes)) and all(map(_is_processor, served)):
        return ProcessorService(served)
    if callable(served) and not inspect.iscoroutinefunction(served) and not inspect.isclass(served):
        return served  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"cannot serve {served!r}: expected a function Request -> Response, a map of methods to functions, or processors"
    )


def _is_processor(served: Any) -> bool:
    return callable(getattr(served, "observe", None)) and not inspect.isclass(served)
