"""Faults: which option of which source is wrong, and the line that sets it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from evox.config.layers import Layer
from evox.config.tables import Settings
from evox.errors import InvalidOption, Place, UnknownOption

__all__ = ["explain"]


def explain(error: ValidationError, layers: Sequence[Layer]) -> UnknownOption | InvalidOption:
    """Turn pydantic's error into one that names the option, its source and its line."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"]]
    option, source, place = _origin(path, layers)
    if first["type"] == "extra_forbidden":
        return UnknownOption(".".join(path), source=source, known=_fields(path[:-1]), place=place)
    return InvalidOption(option, source=source, why=first["msg"].removeprefix("Value error, "), place=place)


def _origin(path: list[str], layers: Sequence[Layer]) -> tuple[str, str, Place | None]:
    """Return the option as it was written, its source and its line: ``queue = -1`` stands for all of its levels."""
    keys = [key for key in path if not key.isdigit()]
    for length in range(len(keys), 0, -1):
        written = keys[:length]
        for layer in reversed(layers):
            if layer.says(written):
                option = ".".join(path if length == len(keys) else written)
                return option, layer.source(written), layer.place(written)
    return ".".join(path), "the configuration", None


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
