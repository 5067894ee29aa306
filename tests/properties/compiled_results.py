"""Results of compiled endpoints: what ``operation_results`` has and FastAPI means the same by, and what is no JSON."""

import inspect
import random
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from fastapi import HTTPException, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.properties.compiled_types import RETURNED, Checked, Page, Written
from tests.properties.operation_results import BEHAVIOURS, Result
from tests.properties.operation_values import Color, Item, Kind

__all__ = ["Result", "results"]

EMPTY = inspect.Signature.empty
# The others mean more to Evox than to FastAPI: pairs of a body and a status, and errors of ours.
SHARED = {
    one.name: one.make
    for one in BEHAVIOURS
    if one.name in ("untyped", "filtered", "response", "refused", "raised", "declared", "unavailable")
}
STREAMING = next(one.make for one in BEHAVIOURS if one.name == "stream")


class Circle:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.me = self


def _generator() -> Iterator[int]:
    yield from (1, 2)


UNFIT: dict[str, Any] = {"took": "x", "given": "y"}
ODD: tuple[Callable[[], Any], ...] = (
    object,
    Circle,
    _generator,
    lambda: float("nan"),
    lambda: [float("inf"), 1e300, -0.0],
    lambda: {"a": {1, 2}, 3: b"raw", None: Color.RED, date(2026, 1, 2): Decimal("1.0")},
    lambda: b"\xff",
    lambda: "\ud800",
    lambda: "é\u2028\x00\x7f\U0001f600</script>",
    lambda: 10**400,
    lambda: {"a": lambda: None},
    lambda: [HTTPException(400)],
    lambda: frozenset({"a"}),
    lambda: range(3),
    lambda: 1j,
    lambda: {"_sa_instance": 1, "a": ...},
    lambda: Item,
    lambda: Written.model_construct(**UNFIT),
    lambda: memoryview(b"abc"),
)
EXTRA: tuple[dict[str, Any], ...] = (
    {"status_code": 201},
    {"status_code": 202, "response_description": "It is on its way: é"},
    {"status_code": 204},
    {"status_code": 304},
    {"response_model_exclude_unset": True},
    {"response_model_exclude_defaults": True},
    {"response_model_exclude_none": True},
    {"response_model_by_alias": False},
    {"response_model_include": {"name", "items", "given"}},
    {"response_model_exclude": {"name", "took"}},
    {"response_model_exclude": {"items": {0: {"count", "tags"}}}},
    {"response_model_include": {"items": {"__all__": {"name"}}, "next_": True}},
)


def _raises(error: Exception) -> Callable[[Any], Any]:
    def run(_: Any) -> Any:
        raise error

    return run


def _invalid(_: Any) -> Any:
    return TypeAdapter(Checked).validate_python({"name": "value", "number": 13})


@st.composite
def _typed(draw: st.DrawFn) -> Result:
    kind: Kind = draw(st.sampled_from(RETURNED))
    good = draw(st.integers(0, 5)) != 3
    value = draw(st.sampled_from(kind.good if good else kind.bad))
    if good and draw(st.booleans()) and kind.annotation is not None:
        value = TypeAdapter(kind.annotation).validate_python(value)  # e.g. the model rather than what it is made of
    options: dict[str, Any] = {}
    for more in draw(st.lists(st.sampled_from(EXTRA), max_size=2)):
        options |= more
    shape = draw(st.sampled_from(["one", "list", "page", "option", "option", "unmodelled"]))
    if options.get("status_code") in (204, 304):
        return Result(lambda _: value, EMPTY, options | {"response_model": None})
    if shape == "list":
        return Result(lambda _: [value, value], list[kind.annotation], options)  # type: ignore[name-defined]
    if shape == "page":
        return Result(lambda _: {"items": [value], "next": "n"}, Page[kind.annotation], options)  # type: ignore[name-defined]
    if shape == "option":
        returns = draw(st.sampled_from([EMPTY, Any, kind.annotation]))
        return Result(lambda _: value, returns, options | {"response_model": kind.annotation})
    if shape == "unmodelled":
        return Result(lambda _: value, kind.annotation, options | {"response_model": None})
    return Result(lambda _: value, kind.annotation, options)


@st.composite
def _odd(draw: st.DrawFn) -> Result:
    make = draw(st.sampled_from(ODD))
    returns = draw(st.sampled_from([EMPTY, EMPTY, Any, dict[str, Any], Item, list[int], str]))
    return Result(lambda _: make(), returns)


@st.composite
def _given(draw: st.DrawFn) -> Result:
    """Return one that sends back what it was given."""
    which = draw(st.sampled_from([0, -1]))
    return Result(lambda values: [*values.values()][which] if values else None, draw(st.sampled_from([EMPTY, Any])))


@st.composite
def _raised(draw: st.DrawFn) -> Result:
    errors: list[Callable[[Any], Any]] = [
        _invalid,
        _raises(RequestValidationError([{"type": "x", "loc": ("query", "a"), "msg": "by hand", "input": b"\xff"}])),
        _raises(RequestValidationError([], body={"a": 1})),
        _raises(HTTPException(418, {"at": date(2026, 1, 2)})),  # no JSON
        _raises(HTTPException(409, "é", {"X-A": "é", "Content-Type": "text/x", "set-cookie": "a=b"})),
        _raises(HTTPException(204, "none", {"x-a": "b"})),
    ]
    return Result(draw(st.sampled_from(errors)))


@st.composite
def _shared(draw: st.DrawFn) -> Result:
    make = SHARED[draw(st.sampled_from([*SHARED]))]
    made = make(random.Random(draw(st.integers(0, 999))))
    return Result(made.run, made.returns, dict(made.options), sync=made.sync)


@st.composite
def _response(draw: st.DrawFn) -> Result:
    headers = draw(st.sampled_from([None, {"x-a": "é"}, {"content-type": "text/x", "content-length": "7"}]))
    status = draw(st.sampled_from([200, 201, 204, 404, 500]))
    returns = draw(st.sampled_from([EMPTY, Response, JSONResponse, Any]))
    return Result(lambda _: JSONResponse({"a": "é"}, status, headers), returns, {"status_code": 202})


@st.composite
def _streams(draw: st.DrawFn) -> Result:
    made = STREAMING(random.Random(draw(st.integers(0, 999))))
    return Result(made.run, made.returns, dict(made.options), streams=True)


def results(*, streams: bool = False) -> st.SearchStrategy[Result]:
    """Return a strategy of what handlers do: parts, if they stream, and else anything that comes at once."""
    if streams:
        return _streams()
    return st.one_of(
        _typed(), _typed(), _typed(), _typed(), _given(), _given(), _shared(), _odd(), _raised(), _response()
    )
