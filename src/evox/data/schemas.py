"""Schemas: how pydantic is told to write a type's values whole, and of what it makes a plain class. Called by codecs.

An API leaves out what the type excludes, masks secrets and has no word for infinity. What is stored comes back to those
who wrote it, so the schema that pydantic has made of a type is changed for it: every field is written, secrets with
their values, and NaN as it is. Only the copy that is made here is changed, never the type.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    create_model,
)
from pydantic_core import SchemaSerializer, SchemaValidator

from evox.errors import UnserializableValue

__all__ = ["SECRETS", "adapter_of", "model_of", "name_of", "whole"]

SECRETS: Final = (Secret, SecretBytes, SecretStr)
_OPAQUE: Final = frozenset({"cls", "config", "default", "expected", "members", "metadata"})  # hold no schemas
_CONFIGURED: Final = frozenset({"model", "dataclass", "typed-dict"})
_FIELDS: Final = frozenset({"model-field", "dataclass-field", "typed-dict-field"})
_LEFT_OUT: Final = frozenset({"serialization_exclude", "serialization_exclude_if"})
_CONFIG: Final[Any] = {"ser_json_inf_nan": "constants"}


def name_of(kind: Any) -> str:
    """Return what a type is called in errors."""
    return getattr(kind, "__name__", None) or str(kind)


def adapter_of(kind: Any) -> TypeAdapter[Any] | None:
    """Return pydantic's own reader of a type; None if it knows nothing of it.

    Raises:
        UnserializableValue: if the type is one of pydantic's, and there is something wrong with it.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        adapter.rebuild()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        if error.code == "schema-for-unknown-type" and inspect.isclass(kind) and dict not in kind.__mro__:
            return None
        why, fix = str(error).splitlines()[0], "see what pydantic takes, and correct its annotations"
        if error.code == "typed-dict-version":
            why = "before Python 3.12 a typing.TypedDict does not say which keys are required"
            fix = "write `from typing_extensions import TypedDict`"
        raise UnserializableValue(f"type {name_of(kind)}", why, fix=fix) from None
    return adapter


def whole(adapter: TypeAdapter[Any]) -> tuple[SchemaSerializer, Callable[[bytes], Any]]:
    """Return what writes the values of a type with all that they hold, and what reads them."""
    changed: set[str] = set()
    schema = _copy(adapter.core_schema, changed)
    serializer = _built(SchemaSerializer, schema, _CONFIG)
    if "init" in changed:
        return serializer, _built(SchemaValidator, schema).validate_json
    return serializer, adapter.validator.validate_json


def model_of(kind: type) -> type[BaseModel]:
    """Return a model of what a plain class's ``__init__`` takes.

    Raises:
        UnserializableValue: if it does not say what that is.
    """
    name = name_of(kind)
    fix = "make it a dataclass or a pydantic model, or annotate the parameters of its __init__"
    if kind.__init__ is object.__init__:  # type: ignore[misc]  # only compared
        raise UnserializableValue(f"type {name}", "nothing says what it is made of", fix=fix)
    try:
        hints = get_type_hints(kind.__init__)  # type: ignore[misc]
    except (NameError, TypeError) as error:
        raise UnserializableValue(f"type {name}", f"its annotations cannot be read: {error}", fix=fix) from None
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:  # type: ignore[misc]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise UnserializableValue(f"type {name}", f"its __init__ takes {parameter}", fix=fix)
        if parameter.name not in hints:
            raise UnserializableValue(f"type {name}", f"parameter {parameter.name!r} has no annotation", fix=fix)
        fields[parameter.name] = (hints[parameter.name], ...)
    try:
        return create_model(name, __config__=ConfigDict(from_attributes=True), **fields)
    except PydanticUserError as error:
        raise UnserializableValue(f"type {name}", str(error).splitlines()[0], fix=fix) from None


def _copy(node: Any, changed: set[str]) -> Any:
    """Copy a schema, changed so that it writes everything."""
    if isinstance(node, Mapping):
        kind = node.get("type")
        made = {key: part if key in _OPAQUE else _copy(part, changed) for key, part in node.items()}
        if kind in _CONFIGURED:
            made["config"] = {**(node.get("config") or {}), **_CONFIG}
        elif kind in _FIELDS:
            for key in _LEFT_OUT:
                made.pop(key, None)
            if made.get("init") is False:  # init=False of a dataclass: it was set later, and is set from what was read
                del made["init"]
                changed.add("init")
        written = made.get("serialization")
        if isinstance(written, dict) and written.get("type") == "function-plain":
            made["serialization"] = _revealing(written, made)
        return made
    if isinstance(node, list | tuple):
        return type(node)(_copy(part, changed) for part in node)
    return node


def _revealing(written: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Replace what masks secrets. Known by where it lives: what a type says itself of how it is written stays."""
    masking = written["function"]
    if getattr(masking, "__module__", None) != Secret.__module__ or not written.get("info_arg"):
        return written

    def reveal(value: Any, info: Any) -> Any:
        return value.get_secret_value() if isinstance(value, SECRETS) else masking(value, info)

    inner = node.get("json_schema", {})
    revealing = {**written, "function": reveal}
    if inner.get("type") == "function-after":
        revealing["return_schema"] = inner["schema"]
    return revealing


def _built(kind: Any, *made_of: Any) -> Any:
    """Make a serializer or validator of a changed schema, and not of those that its classes hold ready."""
    try:
        return kind(*made_of, _use_prebuilt=False)
    except TypeError:  # another pydantic; what is lost then is refused by the comparison that follows each write
        return kind(*made_of)
