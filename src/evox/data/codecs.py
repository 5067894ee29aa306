"""Codecs: values to bytes and back. Nothing is ever unpickled, and no object is shared between writer and readers.

Without a type a value is JSON, and comes back as JSON values; bytes stay bytes. With a type pydantic writes and reads
it. A plain class takes part when its ``__init__`` says what it is made of: its parameters are read from attributes of
the same names, and it is made anew by calling it.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Protocol, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticSerializationError, from_json, to_json

from evox.errors import UnserializableValue

__all__ = ["BYTES", "JSON", "Codec", "TypedCodec", "UntypedCodec", "codec_of"]

JSON: Final = "j"
BYTES: Final = "b"
DEEP: Final = 150  # brackets below which no value is too deep to be read


class Codec(Protocol):
    """Writes and reads the values of one kind."""

    def encode(self, value: Any) -> tuple[str, bytes]:
        """Return the form, ``JSON`` or ``BYTES``, and the bytes.

        Raises:
            UnserializableValue: if it cannot be written.
        """

    def decode(self, form: str, data: bytes) -> Any:
        """Return a new value.

        Raises:
            ValueError: if the bytes do not fit.
        """


class UntypedCodec:
    """JSON values and bytes."""

    def encode(self, value: Any) -> tuple[str, bytes]:
        """See ``Codec``. Models and dates are written as pydantic writes them, and come back as JSON values."""
        if isinstance(value, bytes | bytearray | memoryview):
            return BYTES, bytes(value)
        try:
            data = to_json(value, inf_nan_mode="constants")
            if data.count(b"[") + data.count(b"{") > DEEP:
                from_json(data)  # which goes less deep than what writes it
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            fix = "write what JSON can hold, or declare a type and write(type, key, value)"
            raise UnserializableValue(f"a {type(value).__name__}", str(error), fix=fix) from None
        return JSON, data

    def decode(self, form: str, data: bytes) -> Any:
        """See ``Codec``."""
        return data if form == BYTES else from_json(data)


class TypedCodec:
    """Values of one type.

    Args:
        kind: The type, or any annotation that pydantic takes.

    Raises:
        UnserializableValue: if nothing says what it is made of.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._name = getattr(kind, "__name__", str(kind))
        self._plain: Callable[[Any], Any] | None = None
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
        except PydanticUserError:
            model = _model_of(kind)
            names = tuple(model.model_fields)
            self._adapter = TypeAdapter(model)
            self._plain = lambda read: kind(**{name: getattr(read, name) for name in names})

    def __repr__(self) -> str:
        return f"<TypedCodec of {self._name}>"

    def encode(self, value: Any) -> tuple[str, bytes]:
        """See ``Codec``. A value of another type is refused: it would be read back as something else."""
        if self._plain is not None and not isinstance(value, self._kind):
            raise self._unfit(value, f"it is no {self._name}")
        try:
            if self._plain is not None:
                checked = self._adapter.validate_python(value, from_attributes=True)
            else:
                checked = self._adapter.validate_python(value)
            data = self._adapter.dump_json(checked, by_alias=True, round_trip=True)
        except ValidationError as error:
            raise self._unfit(value, _first(error)) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._unfit(value, str(error)) from None
        try:
            self.decode(JSON, data)  # aliases and excluded fields can make what is written unreadable
        except (ValueError, TypeError) as error:
            raise self._unfit(value, f"it could not be read back: {error}") from None
        return JSON, data

    def decode(self, form: str, data: bytes) -> Any:
        """See ``Codec``."""
        if form != JSON:
            raise ValueError(f"{self._name} is not stored as plain bytes")
        try:
            read = self._adapter.validate_json(data)
        except ValidationError as error:
            raise ValueError(f"it is no {self._name} (any more): {_first(error)}") from None
        return read if self._plain is None else self._plain(read)

    def _unfit(self, value: Any, why: str) -> UnserializableValue:
        return UnserializableValue(f"a {type(value).__name__} as {self._name}", why, fix=f"write a valid {self._name}")


@cache
def codec_of(kind: Any) -> Codec:
    """Return the codec of a type; None stands for no type."""
    return UntypedCodec() if kind is None else TypedCodec(kind)


def _model_of(kind: Any) -> type[BaseModel]:
    """Make a model of what a plain class's ``__init__`` takes."""
    name = getattr(kind, "__name__", str(kind))
    fix = "make it a dataclass or a pydantic model, or annotate the parameters of its __init__"
    if not inspect.isclass(kind) or kind.__init__ is object.__init__:
        raise UnserializableValue(f"type {name}", "nothing says what it is made of", fix=fix)
    try:
        hints = get_type_hints(kind.__init__)
    except (NameError, TypeError) as error:
        raise UnserializableValue(f"type {name}", f"its annotations cannot be read: {error}", fix=fix) from None
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise UnserializableValue(f"type {name}", f"its __init__ takes {parameter}", fix=fix)
        if parameter.name not in hints:
            raise UnserializableValue(f"type {name}", f"parameter {parameter.name!r} has no annotation", fix=fix)
        fields[parameter.name] = (hints[parameter.name], ...)
    try:
        return create_model(name, __config__=ConfigDict(from_attributes=True), **fields)
    except PydanticUserError as error:
        raise UnserializableValue(f"type {name}", str(error).splitlines()[0], fix=fix) from None


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]
