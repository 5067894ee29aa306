"""Grammar: which endpoints are made. Most use nothing but what can be compiled; a small share of all uses more."""

import inspect
from typing import Any, Optional

from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel
from tests.properties.compiled_endpoints import Endpoint, Parameter
from tests.properties.compiled_results import Result, results
from tests.properties.compiled_types import BODIES, COOKIE_FIELDS, HEADER_FIELDS, QUERY_FIELDS, SCALARS, SEVERAL
from tests.properties.operation_values import Color, Kind

__all__ = ["endpoints"]

CONVERTERS = {"int": Kind(int, (5, 0), ("x", "-1")), "float": Kind(float, (1.5, 2), ("x",))}
DOCUMENTED: tuple[dict[str, Any], ...] = (
    {"title": "T", "description": "é"},
    {"deprecated": True},
    {"include_in_schema": False},
    {"examples": ["a"]},
    {"json_schema_extra": {"x-a": 1}},
)
DESCRIBED: tuple[dict[str, Any], ...] = (
    {"tags": ["a", Color.RED], "summary": "S", "description": "D"},
    {"deprecated": True, "operation_id": "own"},
    {"include_in_schema": False},
    {"responses": {404: {"description": "none", "model": dict[str, int]}, "4XX": {"description": "any"}}},
    {"openapi_extra": {"x-a": 1}},
    {"name": "named"},
)
BOUNDS: dict[Any, tuple[dict[str, Any], ...]] = {
    int: ({"ge": 0, "lt": 10}, {"gt": 5, "le": 10}, {"multiple_of": 5}, {"strict": True}),
    float: ({"ge": 0}, {"allow_inf_nan": False}),
    str: ({"min_length": 2, "max_length": 4}, {"pattern": "^[a-z ]+$"}),
}
MORE = ("dependencies", "needed", "ending", "stepping", "bearer", "request", "response", "background", "form", "class")


def seldom(draw: st.DrawFn, one_in: int) -> bool:
    """Whether something happens that happens once in so many times; never where an example is made simpler."""
    return draw(st.integers(0, one_in - 1)) == one_in // 2  # the first and the last are drawn more often than others


@st.composite
def _options(draw: st.DrawFn, name: str, where: str, kind: Kind) -> dict[str, Any]:
    """Return what a parameter is declared with."""
    options: dict[str, Any] = {}
    if seldom(draw, 3) and kind.annotation in BOUNDS:
        options |= draw(st.sampled_from(BOUNDS[kind.annotation]))
    if seldom(draw, 6):
        options |= draw(st.sampled_from(DOCUMENTED))
    if where == "body" and seldom(draw, 8):
        options["media_type"] = "application/vnd.x+json"
    if where == "header" and not kind.fields and seldom(draw, 4):
        options["convert_underscores"] = False
    if not kind.fields and seldom(draw, 3):
        other = {"header": f"X-Odd-{name}", "cookie": f"C-{name}", "path": f"ali_{name}"}.get(where, f"É {name}&")
        how = "alias" if where == "path" else draw(st.sampled_from(["alias", "alias", "validation_alias", "choices"]))
        option = "alias" if how == "alias" else "validation_alias"
        options[option] = AliasChoices("none", other) if how == "choices" else other
    return options


@st.composite
def _default(draw: st.DrawFn, one: Parameter) -> Parameter:
    """Return a parameter that need not be sent, or must be."""
    kind = one.kind
    has = "nothing" if kind.fields else draw(st.sampled_from(["nothing", "nothing", "default", "none", "factory"]))
    if has in ("default", "factory") and kind.good:
        one.default = draw(st.sampled_from([*kind.good, *kind.good, *kind.bad[:1]]))
        one.factory = has == "factory"
    elif has == "none":
        one.kind = Kind(Optional.__getitem__(kind.annotation), kind.good, kind.bad, kind.plain)
        one.default = None
    return one


@st.composite
def _parameter(draw: st.DrawFn, name: str, where: str, kind: Kind) -> Parameter:
    options = draw(_options(name, where, kind))
    one = Parameter(name, where, kind, draw(st.sampled_from(["annotated", "default"])), options=options)
    if where == "path":
        one.converter = draw(st.sampled_from(["", "", "", ":path"]))
        return one
    one = draw(_default(one))
    is_model = inspect.isclass(kind.annotation) and issubclass(kind.annotation, BaseModel)
    is_told = (where == "query" and kind in SCALARS) or (where == "body" and is_model)
    if is_told and not one.options and not one.factory and draw(st.booleans()):
        one.style = "bare"
    return one


@st.composite
def _path(draw: st.DrawFn) -> tuple[str, list[Parameter]]:
    parts, found = ["/made"], []
    for number in range(draw(st.integers(0, 3))):
        if seldom(draw, 8):
            converter = draw(st.sampled_from([*CONVERTERS]))
            one = Parameter(f"p{number}", "path", CONVERTERS[converter], converter=f":{converter}")
        else:
            one = draw(_parameter(f"p{number}", "path", draw(st.sampled_from(SCALARS))))
        found.append(one)
        parts.append(f"{{{one.sent_as}{one.converter}}}")
        if seldom(draw, 4):
            parts.append(draw(st.sampled_from(["of", "a.b", "é"])))
    ending = "/" if seldom(draw, 10) else ""
    return "/".join(parts) + ending, found


@st.composite
def _beside(draw: st.DrawFn, where: str) -> list[Parameter]:
    """Return parameters of a query, of headers or of cookies."""
    fields = {"query": QUERY_FIELDS, "header": HEADER_FIELDS, "cookie": COOKIE_FIELDS}[where]
    if seldom(draw, 6):
        return [draw(_parameter(f"{where}_fields", where, draw(st.sampled_from(fields))))]
    kinds = SCALARS if where == "cookie" else (*SCALARS, *SEVERAL)
    most = 3 if where == "query" else 1
    return [
        draw(_parameter(f"{where}_{number}", where, draw(st.sampled_from(kinds))))
        for number in range(draw(st.integers(0, most)))
    ]


@st.composite
def _bodies(draw: st.DrawFn) -> list[Parameter]:
    number = draw(st.sampled_from([1, 1, 1, 0, 2, 3]))
    kinds = (*BODIES, *BODIES, *SCALARS, *SEVERAL)
    found = [draw(_parameter(f"body_{n}", "body", draw(st.sampled_from(kinds)))) for n in range(number)]
    for one in found:
        if one.style != "bare" and seldom(draw, 4):
            one.options["embed"] = True
    return found


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    """Make one."""
    more = draw(st.sampled_from(MORE)) if seldom(draw, 14) else ""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]))
    path, parameters = draw(_path())
    for where in ("query", "header", "cookie"):
        parameters += draw(_beside(where))
    has_body = method != "GET" or seldom(draw, 10)
    if more == "form":
        fields = [Parameter(f"form_{n}", "form", draw(st.sampled_from(SCALARS))) for n in range(2)]
        parameters += fields
    elif has_body:
        parameters += draw(_bodies())
    streams = seldom(draw, 30)
    result: Result = draw(results(streams=streams))
    options: dict[str, Any] = dict(result.options)
    if streams:
        more = more or "streams"
    if more == "class":
        options["response_class"] = draw(st.sampled_from([PlainTextResponse, HTMLResponse, JSONResponse]))
    elif not streams and "response_class" in options:
        more = "class"
    if seldom(draw, 4):
        options |= draw(st.sampled_from(DESCRIBED))
    sync = result.sync if result.sync is not None else seldom(draw, 4)
    controller = not streams and seldom(draw, 6)
    return Endpoint(method, path, parameters, result, options, sync, controller, more)
