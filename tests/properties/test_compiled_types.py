"""Compiled endpoints answer as FastAPI does for every type in every place, with every value that is known of it.

What ``test_compiled`` draws at random is here in order, so that nothing is left out: one endpoint for each type in a
path, a query, a header, a cookie and a body, needed and with a default, and one for each way in which it is written.
"""

import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from tests.properties.compiled_endpoints import Endpoint, Parameter
from tests.properties.compiled_requests import ODD_BODIES, ODD_JSON, ODD_QUERIES, ODD_TEXTS, TYPES
from tests.properties.compiled_results import Result
from tests.properties.compiled_types import (
    BODIES,
    COOKIE_FIELDS,
    HEADER_FIELDS,
    QUERY_FIELDS,
    RETURNED,
    SCALARS,
    SEVERAL,
    json_of,
    texts_of,
)
from tests.properties.operation_values import Kind
from tests.twins import Sent, twins

# A default that is no JSON is left out of OpenAPI, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
Case = tuple[Endpoint, list[Sent]]
JSON = (b"content-type", b"application/json")
WRITTEN: tuple[dict[str, Any], ...] = (
    {},
    {"response_model_exclude_unset": True, "response_model_by_alias": False, "status_code": 201},
    {"response_model_exclude_defaults": True, "response_model_exclude": {"name", "given"}},
)
AT_ONCE = 40  # in one app
SOAK = bool(os.environ.get("EVOX_SOAK"))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let nothing be logged of the many handlers that fail."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def made(path: str, parameters: list[Parameter], result: Result | None = None, **options: Any) -> Endpoint:
    """Make an endpoint of the compiled part; every third runs in a thread."""
    result = result or Result(lambda values: None)
    sync = len(path) % 3 == 0
    return Endpoint("POST", path, parameters, result, {**result.options, **options}, sync, controller=False, more="")


def placed(parameter: Parameter, path: str, texts: list[str]) -> Sent:
    """Return a request that has a parameter's texts where they belong."""
    headers: list[tuple[bytes, bytes]] = []
    raw, name = [text.encode("utf-8", "surrogatepass") for text in texts], parameter.sent_as
    target = path.encode()
    if parameter.where == "path":
        target = target.replace(b"{value:path}", b"/".join(quote(one, safe="/").encode() for one in raw))
    elif parameter.where == "query":
        pairs = [f"{quote(name)}={quote(one)}" for one in raw]
        target += ("?" + "&".join(pairs)).encode()
    elif parameter.where == "header":
        headers = [(name.lower().encode(), one.replace(b"\0", b"")) for one in raw]
    else:
        headers = [(b"cookie", b"; ".join(name.encode() + b"=" + one for one in raw))] if raw else []
    return Sent("POST", target, tuple(headers))


def texts_for(kind: Kind) -> list[list[str]]:
    """Return all that a parameter of a type is sent as: what fits, what does not, several, and nothing."""
    values = [*kind.good, *kind.bad]
    found = [texts_of(one) for one in values] + [[one] for one in ODD_TEXTS[:5]]
    return [*found, [], [*found[0], "x"], ["x", *found[0]]]


def in_places() -> Iterator[Case]:
    """Yield an endpoint for each type in each place but the body."""
    for where, kinds in (
        ("path", SCALARS),
        ("query", (*SCALARS, *SEVERAL)),
        ("header", (*SCALARS, *SEVERAL)),
        ("cookie", SCALARS),
    ):
        for number, kind in enumerate(kinds):
            path = f"/{where}/{number}" + ("/{value:path}" if where == "path" else "")
            needed = Parameter("value", where, kind, options={"alias": "value" if where == "path" else "A-b"})
            yield made(path, [needed]), [placed(needed, path, texts) for texts in texts_for(kind)]
            if where == "path" or not kind.good:
                continue
            path = f"/{where}/{number}/default"
            default = Parameter("va_lue", where, kind, "default", default=kind.good[0])
            yield made(path, [default]), [placed(default, path, texts) for texts in ([], [], [""], ["x"])]


def in_fields() -> Iterator[Case]:
    """Yield an endpoint for each model of which the fields stand one by one."""
    for where, kinds in (("query", QUERY_FIELDS), ("header", HEADER_FIELDS), ("cookie", COOKIE_FIELDS)):
        for number, kind in enumerate(kinds):
            path = f"/fields/{where}/{number}"
            sent = []
            for value in [*kind.good, *kind.bad, {"a": "x", "b": ["y", "z"]}]:
                pairs = [(name, text) for name, item in value.items() for text in texts_of(item)]
                if where == "query":
                    query = "&".join(f"{name}={quote(text)}" for name, text in pairs)
                    sent.append(Sent("POST", f"{path}?{query}".encode()))
                elif where == "header":
                    sent.append(Sent("POST", path.encode(), tuple((k.encode(), v.encode()) for k, v in pairs)))
                else:
                    cookies = "; ".join(f"{name}={text}" for name, text in pairs)
                    sent.append(Sent("POST", path.encode(), ((b"cookie", cookies.encode()),)))
            yield made(path, [Parameter("fields", where, kind)]), sent


def in_bodies() -> Iterator[Case]:
    """Yield endpoints for each type in a body: alone, embedded, and with a default."""
    for number, kind in enumerate((*BODIES, *SCALARS, *SEVERAL)):
        values = [*map(json_of, [*kind.good, *kind.bad]), *ODD_JSON[number % 3 :: 3]]
        for style in ("alone", "embedded", "default"):
            path = f"/body/{number}/{style}"
            one = Parameter("body", "body", kind)
            bodies = values
            if style == "embedded":
                one.options["embed"] = True
                bodies = [b'{"body": ' + value + b"}" for value in values[:4]] + [b"{}", b"[]", b"null"]
            elif style == "default" and kind.good:
                one.default = kind.good[0]
                bodies = [b"", b"", b"null", values[0]]
            yield made(path, [one]), [Sent("POST", path.encode(), (JSON,), (body,)) for body in bodies]


def in_framings() -> Iterator[Case]:
    """Yield endpoints that are sent what is no JSON, or is not said to be."""
    fits = next(kind for kind in BODIES if kind.annotation is dict)
    for number, kind in enumerate((fits, BODIES[0], Kind(bytes, ()), Kind(Any, ()))):
        path = f"/framing/{number}".encode()
        sent = [Sent("POST", path, (JSON,), (body,)) for body in ODD_BODIES]
        for body in (b'{"name": "a"}', b"{", b""):
            sent += [Sent("POST", path, tuple((b"content-type", one) for one in types), (body,)) for types in TYPES]
        for encoding in ("utf-8-sig", "utf-16", "utf-16-be", "utf-32-le", "latin-1"):
            sent.append(Sent("POST", path, (JSON,), ('{"name": "é"}'.encode(encoding),)))
        yield made(path.decode(), [Parameter("body", "body", kind)]), sent
    query = Parameter("value", "query", Kind(list[str], ()))
    sent = [Sent("POST", b"/query?value=" + odd) for odd in (*ODD_QUERIES, b"1&value=2", b"1;value=2", b"&&=&value")]
    yield made("/query", [query]), sent


def _chosen(values: list[Any], given: dict[str, Any]) -> Any:
    return values[given["which"]]


def as_results() -> Iterator[Case]:
    """Yield an endpoint for each type that is returned, and each way in which it is written."""
    for number, kind in enumerate(RETURNED):
        values = [*kind.good, *kind.bad]
        which = Parameter("which", "query", Kind(int, (0,)))
        result = Result(partial(_chosen, values))
        for way, options in enumerate(WRITTEN):
            path = f"/result/{number}/{way}"
            sent = [Sent("POST", f"{path}?which={one}".encode()) for one in range(len(values))]
            yield made(path, [which], result, response_model=kind.annotation, **options), sent


async def check(found: list[Case]) -> None:
    """Ask both for all of them."""
    for begin in range(0, len(found), AT_ONCE):
        some = found[begin : begin + AT_ONCE]
        here: list[Any] = []
        there: list[Any] = []

        def declare(app: Any, some: Any = some, here: Any = here, there: Any = there) -> None:
            ours = not isinstance(app, FastAPI)
            for endpoint, _ in some:
                endpoint.on(app, here if ours else there, ours=ours)

        async with twins(declare) as both:
            assert both.service.app.openapi() == both.theirs.openapi()
            for _, requests in some:
                for sent in requests:
                    await both.same(sent)
                    assert here == there, f"the handlers were called with something else by {sent}"
            both.held()


@pytest.mark.parametrize("cases", [in_places, in_fields, in_bodies, in_framings, as_results])
async def test_every_type_means_what_it_means_to_fastapi(cases: Any, anyio_backend_name: str) -> None:
    found: list[Case] = list(cases())
    if not SOAK:  # half of them on each loop
        found = found[anyio_backend_name == "trio" :: 2]
    await check(found)
