"""Operations: what a caller has to know of an endpoint to call it: its name, method and path, and what it takes.

They are read off the app's routes, so whatever the syntax, the arguments are those that a request may bring. They can
be written as JSON, by which a service tells callers elsewhere; what has no place in JSON, such as the type of the
answer, is known only where the service's code is.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from fastapi import params
from fastapi._compat import field_annotation_is_sequence
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel
from starlette.responses import Response
from starlette.routing import compile_path

from evox.errors import AmbiguousOperation, UnknownOperation
from evox.services.endpoint import METHODS, Endpoint
from evox.services.results import declared_return
from evox.services.writes import HARMLESS

__all__ = ["NO_TYPE", "Argument", "Operation", "Operations", "operations_of"]

Where: TypeAlias = Literal["path", "query", "header", "cookie", "body", "form", "file"]
Streams: TypeAlias = Literal["jsonl", "sse", "raw"]
NO_TYPE: Final = inspect.Signature.empty
_NOWHERE: Final = re.compile(r"(?!)")
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110, section 9.2.2


@dataclass(frozen=True, slots=True)
class Argument:
    """One thing that an operation takes.

    Attributes:
        name: As its handler calls it.
        alias: As it is sent.
        where: Where in a request it stands.
        required: Whether it has to be given.
        many: Whether it is a list, sent one by one.
        fields: Whether it is a model whose fields are sent one by one.
        nothing: Whether nothing, None or an empty list, is what it is when it is left out.
        by_name: Whether it is given by name only: a dependency takes it.
        literal: Of a model among headers, the fields whose names are sent with the underscores in them.
    """

    name: str
    alias: str
    where: Where
    required: bool = True
    many: bool = False
    fields: bool = False
    nothing: bool = False
    by_name: bool = False
    literal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint under one of its methods.

    Attributes:
        name: The endpoint's name.
        method: The HTTP method.
        path: Its path template, e.g. ``"/users/{user_id}"``.
        arguments: What it takes; the first ones may be given by position.
        embed: Whether each argument in the body is a member of one object.
        idempotent: Whether it may be repeated.
        keyed: Whether it keeps its answers by ``Idempotency-Key``; None where that is not known.
        streams: How it streams its answer; None if it does not.
        anything: Whether it takes whatever it is given: a fake of which nothing else is known.
        returns: The type of its answer, or of each item of it; ``NO_TYPE`` where that is not known.
        row: The endpoint, in the process in which it is declared, if it is one of ours.
        route: FastAPI's route there.
    """

    name: str
    method: str
    path: str
    arguments: tuple[Argument, ...] = ()
    embed: bool = False
    idempotent: bool = False
    keyed: bool | None = False
    streams: Streams | None = None
    anything: bool = False
    returns: Any = field(default=NO_TYPE, compare=False, repr=False)
    row: Endpoint | None = field(default=None, compare=False, repr=False)
    route: Any = field(default=None, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.name, self.method, self.path))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Operations:
    """The operations of one service, in the order in which requests are held against them.

    Args:
        service: Its name.
        found: They.
    """

    def __init__(self, service: str, found: Sequence[Operation]) -> None:
        self.service = service
        self._found = tuple(found)
        self._names: dict[str, list[Operation]] = {}
        for one in self._found:
            self._names.setdefault(one.name, []).append(one)
        self._patterns: dict[Operation, re.Pattern[str]] = {}
        self.plans: dict[Any, Any] = {}  # what callers have made of them

    def __repr__(self) -> str:
        return f"<Operations of {self.service!r}: {', '.join(self._names) or 'none'}>"

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._found)

    def find(self, name: str, method: str | None = None) -> Operation:
        """Return the operation that a name stands for.

        Args:
            name: The name of an endpoint.
            method: Which of its methods; not needed if it has one.

        Raises:
            UnknownOperation: if there is none.
            AmbiguousOperation: if there are several.
        """
        named = self.named(name)
        found = named if method is None else [one for one in named if one.method == method]
        if len(found) == 1:
            return found[0]
        called = f"{self.service}.{name}"
        if not found:
            known = [f"{name}.{one.method.lower()}" for one in named]
            place = named[0].row.place if named[0].row is not None else None
            raise UnknownOperation(self.service, f"{name}.{(method or '').lower()}", known, place)
        if len({one.method for one in found}) == len(found):
            fix = f"say which method: proxy.{called.replace('-', '_')}.{found[0].method.lower()}(...)"
        else:
            fix = "give one of them another name, with name= in its decorator"
        raise AmbiguousOperation(called, [str(one) for one in found], fix=fix)

    def named(self, name: str) -> list[Operation]:
        """Return the operations of a name.

        Raises:
            UnknownOperation: if there is none.
        """
        named = self._names.get(name)
        if named is None:
            raise UnknownOperation(self.service, name, list(self._names))
        return named

    def taken_by(self, operation: Operation, path: str) -> Operation | None:
        """Return which other operation a path leads to, with these values in it; None if to this one."""
        for one in self._found:
            if one is operation:
                return None
            if one.method == operation.method and self._pattern(one).match(path):
                return one
        return None

    def _pattern(self, operation: Operation) -> re.Pattern[str]:
        found = self._patterns.get(operation)
        if found is None:
            try:
                found = compile_path(operation.path)[0]
            except (AssertionError, ValueError):  # of a service elsewhere: a convertor of its own, say
                found = _NOWHERE
            self._patterns[operation] = found
        return found


def operations_of(service: str, app: Any) -> Operations:
    """Return the operations of an app: of all its routes that are FastAPI's.

    Args:
        service: The service's name.
        app: Its FastAPI app.
    """
    found: list[Operation] = []
    for context in iter_route_contexts(app.routes):
        route: Any = context.original_route
        if isinstance(route, APIRoute) and not _is_twin(route):
            effective = context if context.methods else route
            found += [_operation(route, effective, method) for method in METHODS if method in (effective.methods or ())]
    return Operations(service, found)


def _is_twin(route: APIRoute) -> bool:
    """Whether a route is there only so that a path answers with a slash at its end too."""
    row: Endpoint | None = getattr(route.endpoint, "__evox_row__", None)
    return row is not None and row.both_slashes and route.path == f"{row.path}/"


def _operation(route: APIRoute, effective: Any, method: str) -> Operation:
    row: Endpoint | None = getattr(route.endpoint, "__evox_row__", None)
    dependant: Dependant = effective.dependant
    own = [parameter.name for parameter in inspect.signature(route.endpoint).parameters.values()]
    arguments = sorted(_arguments(dependant, []), key=lambda one: _order(one, own))
    says = None if row is None else row.idempotent
    return Operation(
        name=str(effective.name),
        method=method,
        path=str(effective.path),
        arguments=tuple(arguments),
        embed=bool(effective._embed_body_fields),  # noqa: SLF001  FastAPI says it nowhere else
        idempotent=method in IDEMPOTENT if says is None else says,
        keyed=None if row is None else row.idempotency is not None and method not in HARMLESS,
        streams=_streams(route, effective),
        returns=_returns(route, effective),
        row=row,
        route=effective,
    )


def _order(argument: Argument, own: list[str]) -> tuple[bool, int]:
    return argument.by_name, own.index(argument.name) if argument.name in own else len(own)


def _arguments(dependant: Dependant, above: list[Argument], *, by_name: bool = False) -> list[Argument]:
    """Return what a dependant takes, and what its dependencies take that is not taken already."""
    for where, found in (
        ("path", dependant.path_params),
        ("query", dependant.query_params),
        ("header", dependant.header_params),
        ("cookie", dependant.cookie_params),
        ("body", dependant.body_params),
    ):
        for one in found:
            argument = _argument(one, where, by_name=by_name)  # type: ignore[arg-type]
            if not any((other.where, other.alias) == (argument.where, argument.alias) for other in above):
                above.append(argument)
    for inner in dependant.dependencies:
        _arguments(inner, above, by_name=True)
    return above


def _argument(found: Any, where: Where, *, by_name: bool) -> Argument:
    info = found.field_info
    if isinstance(info, params.Form):
        where = "file" if isinstance(info, params.File) else "form"
    annotation = info.annotation
    default = NO_TYPE if info.is_required() else info.get_default(call_default_factory=True)
    return Argument(
        name=found.name,
        alias=_alias(found),
        where=where,
        required=bool(info.is_required()),
        many=where not in ("path", "body") and field_annotation_is_sequence(annotation),
        fields=where not in ("path", "body", "file") and _is_model(annotation),
        nothing=default is None or default in ([], (), set()),
        by_name=by_name,
        literal=_literal(info) if where == "header" and _is_model(annotation) else (),
    )


def _alias(found: Any) -> str:
    """Return the name by which a parameter is sent: of several that it may have, the first."""
    choices = getattr(found.field_info.validation_alias, "choices", ())
    if choices and all(isinstance(one, str) for one in choices):
        return str(choices[0])
    return str(found.validation_alias or found.alias)


def _literal(info: Any) -> tuple[str, ...]:
    """Return the fields of a model whose underscores do not become dashes: those with an alias, or that say so."""
    found: list[str] = []
    for model in _models(info.annotation):
        for name, inner in model.model_fields.items():
            alias = inner.validation_alias if isinstance(inner.validation_alias, str) else (inner.alias or name)
            converts = getattr(inner, "convert_underscores", getattr(info, "convert_underscores", True))
            if "_" in alias and (alias != name or not converts):
                found.append(alias)
    return tuple(found)


def _is_model(annotation: Any) -> bool:
    return bool(_models(annotation))


def _models(annotation: Any) -> list[type[BaseModel]]:
    kinds = get_args(annotation) if _is_union(annotation) else (annotation,)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _is_union(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _streams(route: APIRoute, effective: Any) -> Streams | None:
    function = inspect.unwrap(route.endpoint)
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        return None
    kind = getattr(effective.response_class, "value", effective.response_class)
    if inspect.isclass(kind) and issubclass(kind, EventSourceResponse):
        return "sse"
    return "jsonl" if effective.is_json_stream else "raw"


def _returns(route: APIRoute, effective: Any) -> Any:
    """Return the type that an answer is read as."""
    if effective.stream_item_field is not None:
        return effective.stream_item_field.field_info.annotation
    if effective.response_model_include or effective.response_model_exclude:
        return NO_TYPE  # it is a part of what the type says
    if effective.response_field is not None:
        return effective.response_field.field_info.annotation
    row: Endpoint | None = getattr(route.endpoint, "__evox_row__", None)
    returns = NO_TYPE if row is None else declared_return(row.returns)
    is_response = inspect.isclass(returns) and issubclass(returns, Response)
    return NO_TYPE if is_response or "response_model" in getattr(row, "options", {}) else returns
