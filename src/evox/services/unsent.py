"""Unsent: which fields of the models in a value are not sent, and what in it cannot be sent at all."""

from collections import deque
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Final, get_args

from pydantic import BaseModel, RootModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["Misnamed", "SecretFound", "may_be_unsent", "reads_itself", "unsent"]

_SECRETS: Final = (SecretStr, SecretBytes, Secret)
_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})


class SecretFound(Exception):
    """There is a secret in a value, and all that would be sent of it are stars."""


class Misnamed(Exception):
    """A field of a model is read under other names than the one it is written under."""


def may_be_unsent(value: Any, sent: str) -> bool:
    """Return whether a field that is None or empty is the same when it is not sent.

    Args:
        value: The model that it is a field of, or what stands for one.
        sent: The name by which it is sent.
    """
    if not isinstance(value, BaseModel):
        return True
    for name, info in type(value).model_fields.items():
        if sent == (info.serialization_alias or info.alias or name):
            default = info.get_default(call_default_factory=True, validated_data=value.__dict__)
            return info.is_required() or default is None or default in ([], (), set())
    return True


def unsent(value: Any) -> Any:
    """Return which fields of models in a value are not sent: those that nobody has set, and are what they would be.

    The callee then sees which ones were set, as in a partial update, and nothing is lost of what was changed in place.

    Raises:
        SecretFound: if there is a secret in it.
        Misnamed: if there is a field in it that would not be read.
    """
    kind = type(value)
    if kind in _PLAIN:
        return None
    if isinstance(value, BaseModel):
        return _of_root(value) if isinstance(value, RootModel) else _of_model(value)
    if isinstance(value, dict):
        return {key: found for key, item in value.items() if (found := unsent(item))} or None
    if isinstance(value, list | tuple):
        return {index: found for index, item in enumerate(value) if (found := unsent(item))} or None
    if isinstance(value, _SECRETS):
        raise SecretFound
    if isinstance(value, set | frozenset | deque):
        for item in value:
            unsent(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            unsent(getattr(value, one.name, None))
    return None


def _of_root(model: RootModel[Any]) -> None:
    unsent(model.root)


def _of_model(model: BaseModel) -> dict[str, Any] | None:
    odd = _misnamed(type(model))
    left: dict[str, Any] = {}
    given = model.model_fields_set
    for name, info in type(model).model_fields.items():
        item = model.__dict__.get(name)
        if name not in given and _is_default(info, item, model):
            left[name] = True
        elif name in odd:
            raise Misnamed(name)
        else:
            inner = unsent(item)
            if inner:
                left[name] = inner
    for item in (model.__pydantic_extra__ or {}).values():
        unsent(item)
    return left or None


@lru_cache(maxsize=1024)
def _misnamed(model: type[BaseModel]) -> frozenset[str]:
    """Return the fields of a model that are read under other names than the one that they are written under."""
    config = model.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    by_alias = config.get("validate_by_alias", True)
    found: set[str] = set()
    for name, info in model.model_fields.items():
        written, read = info.serialization_alias or name, info.validation_alias or name
        names = getattr(read, "choices", [read]) if by_alias else []
        if not info.exclude and written not in names and not (by_name and written == name):
            found.add(name)
    return frozenset(found)


def reads_itself(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Return whether all models in a type read what they write.

    Args:
        annotation: The type.
        seen: Models that need not be looked at again.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return True
        seen = seen | {annotation}
        inner = [one.annotation for one in annotation.model_fields.values()]
        return not _misnamed(annotation) and all(reads_itself(one, seen) for one in inner)
    return all(reads_itself(one, seen) for one in get_args(annotation))


def _is_default(info: FieldInfo, item: Any, model: BaseModel) -> bool:
    if info.default_factory is None:
        return item is info.default or _equal(item, info.default)
    return _equal(item, info.get_default(call_default_factory=True, validated_data=model.__dict__))


def _equal(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001  what cannot be compared was not left as it was
        return False
