"""Faults: which option of which source is wrong, and the line that sets it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from evox.config.tables import Settings
from evox.errors import InvalidOption, Place, UnknownOption

__all__ = ["explain", "line_of"]


def explain(
    error: ValidationError, layers: list[tuple[str, Path | None, dict[str, Any]]]
) -> UnknownOption | InvalidOption:
    """Turn pydantic's error into one that names the option, its source and its line."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        _, source, place = _origin(path, layers)
        return UnknownOption(".".join(path), source=source, known=_fields(path[:-1]), place=place)
    option, source, place = _origin(path, layers)
    return InvalidOption(option, source=source, why=first["msg"].removeprefix("Value error, "), place=place)


def _origin(path: list[str], layers: list[tuple[str, Path | None, dict[str, Any]]]) -> tuple[str, str, Place | None]:
    """Return the option as it was written, its source and its line: ``queue = -1`` stands for all of its levels."""
    keys = [key for key in path if not key.isdigit()]
    for length in range(len(keys), 0, -1):
        for name, file, values in reversed(layers):
            found: Any = values
            for key in keys[:length]:
                found = found.get(key, _MISSING) if isinstance(found, Mapping) else _MISSING
            if found is not _MISSING:
                option = ".".join(path if length == len(keys) else keys[:length])
                return option, name, line_of(file, keys[:length]) if file is not None else None
    return ".".join(path), "the configuration", None


_MISSING: Final = object()


def line_of(file: Path, keys: list[str]) -> Place:
    """Find the line that sets an option, in whatever way TOML lets it be written; else the nearest table around it."""
    target = ["tool", "evox", *keys] if file.name == "pyproject.toml" else keys
    table: list[str] = []
    best, nearest = 0, 0
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        header, entry = _HEADER.match(text), _ENTRY.match(text)
        if header:
            table = _parts(header[1])
        elif not entry:
            continue
        here = table + (_parts(entry[1]) if entry else [])
        if here == target[: len(here)] and len(here) > nearest:
            best, nearest = number, len(here)
    return Place(str(file), best)


_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ENTRY = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY, dotted)]


def _fields(path: list[str]) -> Iterable[str]:
    """Return the options of a table; one that users give a name, such as an intent's, is that of all of its kind."""
    fields: Mapping[str, FieldInfo] = Settings.model_fields
    model: type[BaseModel] | None = None
    for part in path:
        if part in fields:
            model = _table_in(fields[part].annotation)
        if model is None:
            return ()
        fields = model.model_fields
    return fields


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """Return the table that an annotation holds, itself or as one of many."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _table_in(one)) is not None), None)
