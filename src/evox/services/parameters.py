"""Parameters: path, query, headers and cookies of one endpoint, validated by FastAPI's own fields.

What a single text fills is validated by its field directly, which is most of them; lists, models and parameters with
several names are left to FastAPI's function for them. Values, errors and their order are FastAPI's either way.
"""

import enum
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser

from evox.services.params import method_of

__all__ = ["Pairs", "Parameters", "Plain", "given_to", "located", "take", "taken_by", "validator_of"]

Pairs: TypeAlias = Sequence[tuple[bytes, bytes]]
_PARTS: Final = ("request", "websocket", "http_connection", "background_tasks", "security_scopes")
_HIDDEN: Final = "evox_response"  # what our own routes add to collect headers in
_SCALARS: Final = (str, int, float, bool, Decimal, UUID, date, datetime, time, timedelta)
_IMMUTABLE: Final = (str, int, float, bool, type(None))
_UNIONS: Final = (Union, types.UnionType)
_NOTHING: Final[Mapping[str, str]] = types.MappingProxyType({})


class Plain:
    """One parameter that one text fills.

    Args:
        field: FastAPI's field.
        where: As errors name the place: ``"path"``, ``"query"`` or ``"header"``.
    """

    __slots__ = ("_constant", "_default", "_field", "_loc", "_name", "_validate", "alias", "header")

    def __init__(self, field: Any, where: str) -> None:
        self._field, self._name = field, field.name
        self.alias: str = field.validation_alias or field.alias
        self.header = self.alias.lower().encode("latin-1", "replace")
        self._loc = (where, self.alias)
        self._validate = validator_of(field)
        info = field.field_info
        self._default: Any = None if info.is_required() or info.default_factory is not None else info.default
        self._constant = (
            not info.is_required()
            and info.default_factory is None
            and not info.validate_default
            and isinstance(info.default, _IMMUTABLE)
        )

    def fill(self, text: str | None, values: dict[str, Any], errors: list[Any]) -> None:
        """Set the parameter's value, or add what is wrong with it."""
        if text is None:
            if self._constant:
                values[self._name] = self._default
            else:
                take(values, errors, [self._field], _NOTHING)
            return
        if self._validate is not None:
            try:
                values[self._name] = self._validate(text, from_attributes=True)
            except ValidationError as error:
                errors += located(error, self._loc)
            return
        value, wrong = self._field.validate(text, values, loc=self._loc)
        if wrong:
            errors += wrong
        else:
            values[self._name] = value


class Parameters:
    """The parameters of one endpoint that stand before its body.

    Args:
        dependant: FastAPI's view of the endpoint.

    Attributes:
        number: How many there are; those of headers and cookies count as one.
    """

    __slots__ = (
        *("_cookies", "_headers", "_odd_headers", "_odd_path", "_odd_query", "_path", "_query", "_reads_headers"),
        "number",
    )

    def __init__(self, dependant: Dependant) -> None:
        self._path, self._odd_path = _split(dependant.path_params, "path")
        self._query, self._odd_query = _split(dependant.query_params, "query")
        self._headers, self._odd_headers = _split(dependant.header_params, "header")
        self._cookies = dependant.cookie_params
        self._reads_headers = bool(dependant.header_params or dependant.cookie_params)
        self.number = len(dependant.path_params) + len(dependant.query_params) + int(self._reads_headers)

    def bind(
        self, path: Mapping[str, Any], query: bytes, headers: Pairs, values: dict[str, Any], errors: list[Any]
    ) -> None:
        """Fill them.

        Args:
            path: What stands in the placeholders of the path.
            query: What follows the question mark.
            headers: Those of the request.
            values: Gets the values, by name.
            errors: Gets what is wrong.
        """
        for one in self._path:
            one.fill(path.get(one.alias), values, errors)
        if self._odd_path:
            take(values, errors, self._odd_path, path)
        if self._query:
            given: Mapping[str, str] = QueryParams(query) if query else _NOTHING
            for one in self._query:
                one.fill(given.get(one.alias), values, errors)
        elif self._odd_query:
            take(values, errors, self._odd_query, QueryParams(query))
        if self._reads_headers:
            self._bind_headers(headers, values, errors)

    def _bind_headers(self, headers: Pairs, values: dict[str, Any], errors: list[Any]) -> None:
        for one in self._headers:
            name = one.header
            found = next((value for key, value in headers if key == name), None)
            one.fill(None if found is None else found.decode("latin-1"), values, errors)
        if self._odd_headers:
            take(values, errors, self._odd_headers, Headers(raw=list(headers)))
        if self._cookies:
            cookies: dict[str, str] = {}
            for key, value in headers:
                if key == b"cookie":
                    cookies.update(cookie_parser(value.decode("latin-1")))
            take(values, errors, self._cookies, cookies)


def validator_of(field: Any) -> Any:
    """Return what validates a value as one of FastAPI's fields does, in fewer calls; None if that is unknown.

    It raises pydantic's errors; ``located`` makes FastAPI's of them.
    """
    adapter: TypeAdapter[Any] | None = getattr(field, "_type_adapter", None)
    return None if adapter is None else adapter.validator.validate_python


def located(error: ValidationError, loc: tuple[str, ...]) -> list[Any]:
    """Return what is wrong as FastAPI says it, with the place of the parameter before each place within it."""
    return [one | {"loc": (*loc, *one.get("loc", ()))} for one in error.errors(include_url=False)]


def taken_by(dependant: Dependant) -> list[str]:
    """Return what an endpoint takes of a request that is none of its values, e.g. ``["request"]``."""
    taken = [part for part in _PARTS if getattr(dependant, f"{part}_param_name") is not None]
    return taken if dependant.response_param_name in (None, _HIDDEN) else [*taken, "response"]


def given_to(dependant: Dependant) -> tuple[list[tuple[str, Callable[[], Any]]], list[str]]:
    """Return which parameters of an endpoint are injected, and by what, and which hold the method.

    Args:
        dependant: FastAPI's view of an endpoint that has no dependencies but those of ours.
    """
    named: list[tuple[str, Any]] = [(one.name, one.call) for one in dependant.dependencies if one.name and one.call]
    injected = [(name, call) for name, call in named if call is not method_of]
    return injected, [name for name, call in named if call is method_of]


def take(values: dict[str, Any], errors: list[Any], fields: Sequence[Any], given: Mapping[str, Any]) -> None:
    """Fill fields as FastAPI does."""
    found, wrong = request_params_to_args(fields, given)
    values.update(found)
    errors += wrong


def _split(fields: Sequence[Any], where: str) -> tuple[list[Plain], list[Any]]:
    """Return all as plain ones, or all as they are: FastAPI validates them in their order."""
    if all(map(_is_plain, fields)):
        return [Plain(one, where) for one in fields], []
    return [], list(fields)


def _is_plain(field: Any) -> bool:
    """Whether one text, found under one name, is all that a field takes."""
    alias = field.field_info.validation_alias
    return not field.config and (alias is None or isinstance(alias, str)) and _is_scalar(field.field_info.annotation)


def _is_scalar(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_scalar(get_args(annotation)[0])
    if origin in _UNIONS:
        return all(one is type(None) or _is_scalar(one) for one in get_args(annotation))
    if origin is Literal:
        return True
    return annotation in _SCALARS or (isinstance(annotation, type) and issubclass(annotation, enum.Enum))
