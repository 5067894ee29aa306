"""Inputs: what the answer of an endpoint depends on beside its path and query.

A cached answer skips the handler and all dependencies, so nothing that guards or changes an answer may go unseen. Each
such input has to be named in ``vary_on=``; an endpoint that leaves one out is refused caching before it serves anyone.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from fastapi.dependencies.models import Dependant
from fastapi.security.api_key import APIKeyBase
from fastapi.security.base import SecurityBase
from pydantic import BaseModel

from evox.errors import InvalidDeclaration
from evox.services.endpoint import Endpoint
from evox.services.injection import is_resolver
from evox.services.params import method_of

__all__ = ["Inputs", "Reads", "declared_reads", "has_endings", "inputs_of", "is_ours"]

Kind: TypeAlias = Literal["header", "cookie", "request", "dependency"]
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")  # RFC 9110, without _ as in the names of parameters


@dataclass(frozen=True, slots=True)
class Reads:
    """What something reads of a request beside path and query.

    Attributes:
        headers: Names of headers, in lower case.
        cookies: Names of cookies.
        whole: Whether it takes the request itself, and may read anything of it.
    """

    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    whole: bool = False

    def __add__(self, other: "Reads") -> "Reads":
        headers = tuple(dict.fromkeys((*self.headers, *other.headers)))
        return Reads(headers, tuple(dict.fromkeys((*self.cookies, *other.cookies))), self.whole or other.whole)


@dataclass(frozen=True, slots=True)
class _Input:
    kind: Kind
    names: tuple[str, ...]
    label: str
    parameter: str | None = None
    reads: Reads = Reads()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the key of an answer holds beside path and query.

    Attributes:
        reads: What the handler reads of the request, and dependencies whose values it does not take.
        arguments: Parameters that dependencies fill, and what those read: that tells who asks when they give nothing.
        guarded: Whether dependencies run before an answer may be given.
    """

    reads: Reads = Reads()
    arguments: tuple[tuple[str, Reads], ...] = ()
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
    known = {name for one in found for name in one.names}
    more = _others(row, set(named) - known - {parameter.name for parameter in row.parameters})
    reads = Reads(headers=tuple(one.lower() for one in more), cookies=more)
    arguments: dict[str, Reads] = {}
    missing: list[str] = []
    for one in found:
        if not set(named).intersection(one.names):
            missing.append(one.label)
        elif one.kind == "request" and more:
            continue  # those are what it is read for
        elif one.kind == "dependency" and one.parameter is not None:
            arguments[one.parameter] = one.reads
        else:
            reads += one.reads
    if missing:
        raise _refused(row, missing)
    return Inputs(reads, tuple(arguments.items()), any(one.kind == "dependency" for one in found))


def declared_reads(dependant: Dependant) -> tuple[Reads, Reads]:
    """Return which headers and cookies an endpoint and its dependencies declare: credentials, and all others.

    The others are ``whole`` where one of them takes the request itself, and may read anything.

    Args:
        dependant: FastAPI's view of it. Credentials are what its security schemes read.
    """
    schemes, others = Reads(), Reads()
    for one in dependant.header_params:
        others += _read("header", one, one.alias.lower()).reads
    for one in dependant.cookie_params:
        others += _read("cookie", one, one.alias).reads
    if dependant.request_param_name or dependant.http_connection_param_name:
        others += Reads(whole=True)
    for inner in dependant.dependencies:
        called: Any = inner.call
        if is_ours(called):
            continue
        if isinstance(called, SecurityBase):
            schemes += _reads_of(inner)
        else:
            below = declared_reads(inner)
            schemes, others = schemes + below[0], others + below[1]
    return schemes, others


def has_endings(dependant: Dependant) -> bool:
    """Whether dependencies of an endpoint end after its answer is sent: those with ``yield``."""
    for one in dependant.dependencies:
        called: Any = inspect.unwrap(one.call) if one.call is not None else None
        for function in (called, getattr(type(called), "__call__", None)):  # noqa: B004  a class's, not whether it is there
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                return True
        if has_endings(one):
            return True
    return False


def _others(row: Endpoint, names: set[str]) -> tuple[str, ...]:
    """Return what else is named: headers or cookies, which their names do not tell.

    Own parameters of path and query are in every key anyway.
    """
    for name in sorted(names):
        if not _TOKEN.fullmatch(name):
            why = "it is neither a parameter, a dependency nor the name of a header or cookie"
            raise InvalidDeclaration("vary_on", name, on=f"endpoint {row.name!r}", why=why, place=row.place)
    return tuple(sorted(names))


def _walk(dependant: Dependant) -> Iterator[_Input]:
    for field in dependant.header_params:
        yield _read("header", field, field.alias.lower())
    for field in dependant.cookie_params:
        yield _read("cookie", field, field.alias)
    for name in (dependant.request_param_name, dependant.http_connection_param_name):
        if name is not None:
            yield _Input("request", (name,), f"{name!r}, the request itself", reads=Reads(whole=True))
    for inner in dependant.dependencies:
        if is_ours(inner.call):
            continue
        called = str(getattr(inner.call, "__name__", type(inner.call).__name__))
        names = (called,) if inner.name is None else (inner.name, called)
        yield _Input("dependency", names, f"dependency {called!r}", inner.name, _reads_of(inner))


def _read(kind: Literal["header", "cookie"], field: Any, name: str) -> _Input:
    """Return the input that a parameter is: one header or cookie, or else whatever value it turns out to have."""
    names, label = (field.name, name), f"{kind} {field.alias!r}"
    other = field.field_info.validation_alias
    if other in (None, field.alias) and not _is_model(field.field_info.annotation):
        reads = Reads(headers=(name,)) if kind == "header" else Reads(cookies=(name,))
        return _Input(kind, names, label, reads=reads)
    return _Input(
        "dependency", names, label, field.name, Reads(whole=True)
    )  # a model of several, or read from under other names


def _reads_of(dependant: Dependant) -> Reads:
    """Return what a dependency reads, and those below it."""
    call: Any = dependant.call
    is_known = type(call).__module__.startswith("fastapi.security.")  # others of the kind may look at anything
    if is_known and isinstance(call, APIKeyBase):
        place, name = call.model.in_.value, call.model.name
        return Reads(headers=(name.lower(),) if place == "header" else (), cookies=(name,) if place == "cookie" else ())
    if is_known and isinstance(call, SecurityBase):
        return Reads(headers=("authorization",))
    reads = Reads(whole=bool(dependant.request_param_name or dependant.http_connection_param_name))
    for one in dependant.header_params:
        reads += _read("header", one, one.alias.lower()).reads
    for one in dependant.cookie_params:
        reads += _read("cookie", one, one.alias).reads
    for inner in dependant.dependencies:
        reads += _reads_of(inner)
    return reads


def _is_model(annotation: Any) -> bool:
    """Whether a model stands in an annotation, alone or in a union."""
    if isinstance(annotation, type):
        return issubclass(annotation, BaseModel)
    return any(_is_model(one) for one in get_args(annotation))


def is_ours(call: Any) -> bool:
    """Whether a dependency is one that gives the same to everybody: injection, or the method, which the key holds."""
    return call is method_of or is_resolver(call)


def _refused(row: Endpoint, missing: list[str]) -> InvalidDeclaration:
    option = "cache" if row.cache is not None else "cacheable"
    first = missing[0].split("'")[1]
    why = (
        f"its answer may depend on {', '.join(missing)}, and a cached one is given without asking: "
        f"name what it depends on, @Intent(vary_on=[{first!r}, ...]), or take caching off it, @Intent(cacheable=False)"
    )
    shown = row.cache if row.cache is not None else True
    return InvalidDeclaration(option, shown, on=f"endpoint {row.name!r}", why=why, place=row.place)
