"""From whatever is given to `serve` to one service."""

from __future__ import annotations

from typing import Any

import pytest

import kato_transport as kt
from kato_transport.lanes import CONCURRENT, INLINE, lane_of
from kato_transport.service import as_service


class Least:
    """The least that is a processor."""

    id = "least"
    observed: list[Any]

    def __init__(self) -> None:
        self.observed = []

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        self.observed.append(observation)
        return {}

    def learn(self) -> str:
        return ""

    def get_predictions(self, unique_id: Any) -> list[Any]:
        return []


def ask(served: Any, method: str, **params: Any) -> dict[str, Any]:
    return as_service(served)(kt.Request(method, params)).result(method)


def test_a_function_from_request_to_response_is_a_service_already() -> None:
    """And is not wrapped."""

    def answer(request: kt.Request) -> kt.Response:
        return kt.Response.okay(method=request.method)

    assert as_service(answer) is answer


def test_a_functions_params_are_its_keyword_arguments() -> None:
    """And what it returns becomes the answer's fields."""
    assert ask({"add": lambda a, b=1: {"sum": a + b}}, "add", a=2) == {"status": "okay", "sum": 3}


def test_a_function_may_say_a_status_of_its_own() -> None:
    """An error answer, for example."""
    answer = as_service({"m": lambda: {"status": "error", "message": "no"}})(kt.Request("m"))
    assert answer.is_error


def test_a_function_without_a_map_for_an_answer_is_at_fault() -> None:
    """Not its caller."""
    with pytest.raises(TypeError, match="m returned list, not a map"):
        ask({"m": lambda: [1]}, "m")


@pytest.mark.parametrize("params", [{}, {"a": 1, "c": 2}, {"c": 1}], ids=["missing", "too many", "both"])
def test_params_that_do_not_fit_are_the_callers_mistake(params: dict[str, Any]) -> None:
    """The refusal names the method and the argument."""
    with pytest.raises(kt.ServiceError, match=r"^m: ") as refused:
        ask({"m": lambda a: {"a": a}}, "m", **params)
    assert refused.value.code == "invalid_params"


def test_a_type_error_inside_a_function_is_not_the_callers_mistake() -> None:
    """Though it is of the same type."""
    with pytest.raises(TypeError, match="unsupported operand"):
        ask({"m": lambda a: {"a": a + None}}, "m", a=1)


def test_params_that_do_not_fit_a_builtin_are_refused_or_raised() -> None:
    """Nobody can tell for one without a signature; it ends in an error answer either way."""
    with pytest.raises((TypeError, kt.ServiceError)):
        ask({"m": dict.fromkeys}, "m", x=1)


@pytest.mark.parametrize("method", ["divine", "__class__", "keys", ""])
def test_an_unknown_method_is_refused_by_name(method: str) -> None:
    """And a name from the wire is never looked up on an object."""
    for served in ({"m": dict}, Least()):
        with pytest.raises(kt.ServiceError) as refused:
            ask(served, method)
        assert (refused.value.message, refused.value.code) == (f"Unknown method: {method}", "unknown_method")


@pytest.mark.parametrize("served", [Least(), [Least()], (Least(),)], ids=["alone", "in a list", "in a tuple"])
def test_a_processor_answers_katos_methods(served: Any) -> None:
    """Alone or among others."""
    assert ask(served, "get_name")["id"] == "least"


def test_a_map_is_of_functions_even_where_it_holds_a_method_called_observe() -> None:
    """A dict has no attribute of that name."""
    assert ask({"observe": lambda value: {"value": value}}, "observe", value=1)["value"] == 1


async def _coroutine() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    "served",
    [5, "module:factory", None, [5], {"m": 5}, {"m": _coroutine}, _coroutine, [], Least],
    ids=["a number", "text", "None", "numbers", "a map of numbers", "a coroutine in a map", "a coroutine", "nobody", "a class"],
)
def test_what_cannot_be_served_is_refused_at_once(served: Any) -> None:
    """Before anything is bound."""
    with pytest.raises(kt.ConfigurationError):
        kt.serve(served, "memory://", transport="memory")


def test_an_object_that_observes_but_does_nothing_else_is_told_what_it_lacks() -> None:
    """By name."""

    class Eye:
        def observe(self, observation: Any) -> None: ...

    with pytest.raises(kt.InvalidSetting, match="lacks learn, get_predictions"):
        as_service(Eye())


def test_two_processors_of_one_id_cannot_be_told_apart() -> None:
    """So they are not served."""
    with pytest.raises(kt.InvalidSetting, match="ids of their own"):
        as_service([Least(), Least()])


def test_a_function_is_placed_inline_where_it_is_marked_so() -> None:
    """One by one in a table."""
    lane = lane_of(as_service({"quick": kt.inline(lambda: {"quick": True}), "slow": dict}))
    assert (lane(kt.Request("quick")), lane(kt.Request("slow")), lane(kt.Request("none"))) == (INLINE, CONCURRENT, CONCURRENT)
    assert lane_of(kt.inline(lambda request: kt.Response.okay()))(kt.Request("m")) == INLINE
    assert lane_of(lambda request: kt.Response.okay())(kt.Request("m")) == CONCURRENT


def test_a_processor_is_a_lane_but_for_what_is_read_at_once() -> None:
    """`get_name` makes a processor look alive while it works."""
    other = Least()
    other.id = "other"
    lane = lane_of(as_service([Least(), other]))
    assert lane(kt.Request("observe")) == lane(kt.Request("observe", processor_id="least"))
    assert lane(kt.Request("observe", processor_id="other")) != lane(kt.Request("observe"))
    assert lane(kt.Request("get_name", processor_id="other")) == INLINE


def test_a_lane_called_inline_is_still_a_lane() -> None:
    """A processor whose id is that word does not run on the I/O thread."""
    odd = Least()
    odd.id = "inline"
    assert lane_of(as_service(odd))(kt.Request("observe")) != INLINE


def test_a_function_called_ping_is_refused() -> None:
    """Every server answers that itself, so it would never run."""
    with pytest.raises(kt.ConfigurationError, match="'ping' is answered by every server itself"):
        as_service({"ping": dict})
