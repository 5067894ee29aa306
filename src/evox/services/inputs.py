"""Inputs: what the answer of an endpoint depends on beside its path and query.

A cached answer skips the handler and all dependencies, so nothing that guards or changes an answer may go unseen. Each
such input has to be named in ``vary_on=``; an endpoint that leaves one out is refused caching before it serves anyone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from evox.errors import InvalidDeclaration
from evox.services.endpoint import Endpoint
from evox.services.injection import Injected
from evox.services.params import Method

__all__ = ["Inputs", "inputs_of"]

Kind: TypeAlias = Literal["header", "cookie", "request", "dependency"]
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_METHOD: Final = Method.__metadata__[0].dependency  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Input:
    kind: Kind
    names: tuple[str, ...]
    label: str
    parameter: str | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the key of an answer holds beside path and query.

    Attributes:
        headers: Names of headers, in lower case.
        cookies: Names of cookies.
        arguments: Names of parameters that dependencies fill; they are known once those have run.
        guarded: Whether dependencies run before an answer may be given.
    """

    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    guarded: bool = False


def inputs_of(row: Endpoint, dependant: Dependant, named: tuple[str, ...]) -> Inputs:
    """Return the inputs of an endpoint whose answers are to be cached.

    Args:
        row: The endpoint.
        dependant: FastAPI's view of it, with the dependencies of its router and app.
        named: ``vary_on=`` of its intent.

    Raises:
        InvalidDeclaration: if it depends on something that is not named.
    """
    found = list(_walk(dependant))
    left = set(named)
    headers: list[str] = []
    cookies: list[str] = []
    arguments: list[str] = []
    missing: list[str] = []
    for one in found:
        if not left.intersection(one.names) and not set(named).intersection(one.names):
            missing.append(one.label)
            continue
        left.difference_update(one.names)
        if one.kind == "header":
            headers.append(one.names[-1])
        elif one.kind == "cookie":
            cookies.append(one.names[-1])
        elif one.kind == "dependency" and one.parameter is not None:
            arguments.append(one.parameter)
    if missing:
        raise _refused(row, missing)
    for name in sorted(left - _own_parameters(row)):
        if not _HEADER.fullmatch(name):
            why = "it is neither a parameter, a dependency nor the name of a header"
            raise InvalidDeclaration("vary_on", name, on=f"endpoint {row.name!r}", why=why, place=row.place)
        headers.append(name.lower())
    guarded = any(one.kind == "dependency" for one in found)
    return Inputs(tuple(dict.fromkeys(headers)), tuple(dict.fromkeys(cookies)), tuple(arguments), guarded)


def _walk(dependant: Dependant) -> Iterator[_Input]:
    for field in dependant.header_params:
        yield _read("header", field, field.alias.lower())
    for field in dependant.cookie_params:
        yield _read("cookie", field, field.alias)
    for name in (dependant.request_param_name, dependant.http_connection_param_name):
        if name is not None:
            yield _Input("request", (name,), f"{name!r}, the request itself")
    for inner in dependant.dependencies:
        if _is_ours(inner.call):
            continue
        called = str(getattr(inner.call, "__name__", type(inner.call).__name__))
        names = (called,) if inner.name is None else (inner.name, called)
        yield _Input("dependency", names, f"dependency {called!r}", inner.name)


def _read(kind: Literal["header", "cookie"], field: Any, name: str) -> _Input:
    """Return the input that a parameter is: one header or cookie, or else whatever value it turns out to have."""
    names, label = (field.name, name), f"{kind} {field.alias!r}"
    other = field.field_info.validation_alias
    if other in (None, field.alias) and not _is_model(field.field_info.annotation):
        return _Input(kind, names, label)
    return _Input("dependency", names, label, field.name)  # a model of several, or read from under other names


def _is_model(annotation: Any) -> bool:
    """Whether a model stands in an annotation, alone or in a union."""
    if isinstance(annotation, type):
        return issubclass(annotation, BaseModel)
    return any(_is_model(one) for one in get_args(annotation))


def _is_ours(call: Any) -> bool:
    """Whether a dependency is one that gives the same to everybody: injection, or the method, which the key holds."""
    return call is _METHOD or getattr(call, "__qualname__", "").startswith(f"{Injected.__name__}.")


def _own_parameters(row: Endpoint) -> set[str]:
    """Return the handler's own parameters: those of path and query are in every key."""
    return {parameter.name for parameter in row.parameters}


def _refused(row: Endpoint, missing: list[str]) -> InvalidDeclaration:
    option = "cache" if row.cache is not None else "cacheable"
    first = missing[0].split("'")[1]
    why = (
        f"its answer may depend on {', '.join(missing)}, and a cached one is given without asking: "
        f"name what it depends on, @Intent(vary_on=[{first!r}, ...]), or take caching off it, @Intent(cacheable=False)"
    )
    shown = row.cache if row.cache is not None else True
    return InvalidDeclaration(option, shown, on=f"endpoint {row.name!r}", why=why, place=row.place)
