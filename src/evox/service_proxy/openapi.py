"""OpenAPI: the operations of a service that is not ours, as its document has them (OpenAPI 3.0 and 3.1).

An operation is called by its ``operationId``; of ids that FastAPI has made, by the name of the handler. What its body
holds is one argument, ``body``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from evox.services.operations import IDEMPOTENT, Argument, Operation, Where

__all__ = ["operations_in"]

_METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
_WHERE: Final = frozenset({"path", "query", "header", "cookie"})
_ODD: Final = re.compile(r"\W")
_PLACE: Final = re.compile(r"{([^{}]*)}")


def operations_in(document: Any) -> list[Operation]:
    """Return the operations of a document.

    Raises:
        ValueError: if it is no document of OpenAPI.
    """
    paths = document.get("paths") if isinstance(document, Mapping) else None
    if not isinstance(paths, Mapping):
        raise ValueError("it is no OpenAPI document: it has no paths")  # noqa: TRY004  one error for all of them
    found: list[Operation] = []
    for path, item in paths.items():
        item = _followed(document, item)  # noqa: PLW2901  what it refers to is it
        if not isinstance(item, Mapping) or not str(path).startswith("/"):
            continue
        shared = _listed(item.get("parameters"))
        for method in _METHODS:
            said = item.get(method)
            if isinstance(said, Mapping):
                found.append(_operation(document, str(path), method, said, shared))
    return found


def _operation(document: Any, path: str, method: str, said: Mapping[str, Any], shared: Any) -> Operation:
    arguments = {
        (one.where, one.alias): one for one in _parameters(document, [*shared, *_listed(said.get("parameters"))])
    }
    body = _followed(document, said.get("requestBody"))
    ordered = sorted(arguments.values(), key=lambda one: (not one.required, one.where != "path"))
    if isinstance(body, Mapping):
        ordered.append(Argument("body", "body", "body", required=bool(body.get("required", False)), nothing=True))
    return Operation(
        name=_name(said.get("operationId"), path, method),
        method=method.upper(),
        path=_PLACE.sub(lambda found: "{" + _ODD.sub("_", found[1]) + "}", path),
        arguments=tuple(sorted(ordered, key=lambda one: not one.required)),
        idempotent=method.upper() in IDEMPOTENT,
        keyed=("header", "idempotency-key") in {(one.where, one.alias.lower()) for one in ordered} or None,
    )


def _parameters(document: Any, given: list[Any]) -> Iterator[Argument]:
    for one in given:
        said = _followed(document, one)
        where, alias = (said.get("in"), said.get("name")) if isinstance(said, Mapping) else (None, None)
        if not (isinstance(where, str) and where in _WHERE and isinstance(alias, str)):
            continue
        schema = _followed(document, said.get("schema")) or {}
        name = _ODD.sub("_", alias)
        yield Argument(
            name=name,
            alias=name if where == "path" else alias,  # what a placeholder is called is not sent
            where=cast("Where", where),
            required=bool(said.get("required", False)) or where == "path",
            many=isinstance(schema, Mapping) and schema.get("type") == "array",
            nothing=True,
        )


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _followed(document: Any, part: Any) -> Any:
    """Return what a part of the document refers to, within the same document."""
    for _ in range(10):
        reference = part.get("$ref") if isinstance(part, Mapping) else None
        if not isinstance(reference, str):
            return part
        if not reference.startswith("#/"):
            return None
        part = document
        for name in reference[2:].split("/"):
            part = part.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(part, Mapping) else None
    return None


def _name(given: Any, path: str, method: str) -> str:
    if not isinstance(given, str) or not given:
        return _ODD.sub("_", f"{method}{path}").strip("_")
    made = _ODD.sub("_", path) + f"_{method}"  # what FastAPI puts behind the name of a handler
    return _ODD.sub("_", given.removesuffix(made) if given != made else given)
