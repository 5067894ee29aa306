"""Codecs: values to bytes and back. Nothing is ever unpickled, and no object is shared between writer and readers.

Without a type a value is JSON, and comes back as JSON values; bytes stay bytes. With a type pydantic writes and reads
it. A plain class takes part when its ``__init__`` says what it is made of: its parameters are read from attributes of
the same names, and it is made anew by calling it. What would not come back as it was is refused before it is stored.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache
from types import GeneratorType
from typing import Any, Final, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from evox.data.entries import NOTHING
from evox.data.sameness import difference, left_out, state_difference
from evox.data.schemas import SECRETS, adapter_of, model_of, name_of, whole
from evox.errors import UnserializableValue

__all__ = ["BYTES", "JSON", "Codec", "TypedCodec", "UntypedCodec", "codec_of"]

JSON: Final = "j"
BYTES: Final = "b"
_ATOMS: Final = frozenset({str, int, float, bool, type(None)})


class Codec(Protocol):
    """Writes and reads the values of one kind."""

    def encode(self, value: Any) -> tuple[str, bytes]:
        """Return the form, ``JSON`` or ``BYTES``, and the bytes.

        Raises:
            UnserializableValue: if it cannot be written, or would not come back as it is.
        """

    def decode(self, form: str, data: bytes) -> Any:
        """Return a new value.

        Raises:
            ValueError: if the bytes do not fit.
        """


class UntypedCodec:
    """JSON values and bytes."""

    def encode(self, value: Any) -> tuple[str, bytes]:
        """See ``Codec``. What is no JSON value is written as pydantic writes it, and comes back as JSON values."""
        if isinstance(value, bytes | bytearray | memoryview):
            return BYTES, bytes(value)
        try:
            data = to_json(value, inf_nan_mode="constants")
            # JSON can be written that is not read: it goes deeper, and its numbers are longer
            if from_json(data) != value:
                replaced: list[type] = []
                plain = _plain(value, replaced)
                if replaced:
                    data = to_json(plain, inf_nan_mode="constants")
                    from_json(data)
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
        self._name = name_of(kind)
        self._plain: Callable[[Any], Any] | None = None
        self._names: tuple[str, ...] = ()
        adapter = adapter_of(kind)
        if adapter is None:
            model = model_of(kind)
            names = self._names = tuple(model.model_fields)
            adapter = TypeAdapter(model)
            self._plain = lambda read: kind(**{name: getattr(read, name) for name in names})
        self._adapter = adapter
        self.serializer, self._validate_json = whole(adapter)

    def __repr__(self) -> str:
        return f"<TypedCodec of {self._name}>"

    def encode(self, value: Any) -> tuple[str, bytes]:
        """See ``Codec``. What is not of the type yet, such as a dictionary for a model, is made one as pydantic does.

        What is of the type comes back equal to it; an object of a class derived from it would not, and is refused.
        """
        if self._plain is not None and type(value) is not self._kind:
            derived = isinstance(value, self._kind)
            why = f"it would come back as a {self._name}" if derived else f"it is no {self._name}"
            raise self._unfit(value, why, fix=self._way_out(value) if derived else None)
        try:
            checked = self._adapter.validate_python(value, from_attributes=True if self._plain is not None else None)
            # no warnings: they print the values that they are about
            data = self.serializer.to_json(checked, by_alias=True, round_trip=True, warnings=False)
        except ValidationError as error:
            raise self._unfit(value, _first(error)) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._unfit(value, str(error)) from None
        try:
            read = self.decode(JSON, data)  # aliases can make what is written unreadable
            lost = self._lost(value, checked, read)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._unfit(value, f"it could not be read back: {error}") from None
        if data == NOTHING and value is not None:
            lost = ": its JSON is null, which stands for no value"
        if lost is not None:
            why = lost.lstrip(".") if lost.startswith(".") else lost[2:]
            raise self._unfit(value, f"what is read back would differ; {why}", fix=self._way_out(value))
        return JSON, data

    def decode(self, form: str, data: bytes) -> Any:
        """See ``Codec``."""
        if form != JSON:
            raise ValueError(f"{self._name} is not stored as plain bytes")
        try:
            read = self._validate_json(data)
        except ValidationError as error:
            raise ValueError(f"it is no {self._name} (any more): {_first(error)}") from None
        return read if self._plain is None else self._plain(read)

    def _lost(self, value: Any, checked: Any, read: Any) -> str | None:
        """Return what would not come back."""
        if self._plain is not None:
            return state_difference(value, read, self._names)
        lost = difference(value, read)
        if lost is None or checked is value:
            return lost
        # what was not of the type was made one, and that is what has to come back
        return difference(checked, read) or left_out(value, checked)

    def _way_out(self, value: Any) -> str:
        kind = type(value)
        if self._kind in kind.__mro__[1:]:
            return f"write it as what it is: write({kind.__name__}, key, value)"
        if self._plain is not None:
            return "let its __init__ take what it holds, or begin the names of what is no data with _"
        return "annotate what it holds with types that JSON tells apart, or let the type say how it is written and read"

    def _unfit(self, value: Any, why: str, *, fix: str | None = None) -> UnserializableValue:
        name = f"a {type(value).__name__} as {self._name}"
        return UnserializableValue(name, why, fix=fix or f"write a valid {self._name}")


@cache
def codec_of(kind: Any) -> Codec:
    """Return the codec of a type; None stands for no type."""
    return UntypedCodec() if kind is None else TypedCodec(kind)


def _plain(value: Any, replaced: list[type]) -> Any:
    """Return what JSON is made of, with models and secrets written whole; their types are added to ``replaced``.

    Raises:
        ValueError: if something would be lost.
    """
    if type(value) in _ATOMS:
        return value
    if isinstance(value, dict):
        return _plain_keys({_plain(key, replaced): _plain(one, replaced) for key, one in value.items()}, len(value))
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [_plain(one, replaced) for one in value]
    if isinstance(value, GeneratorType):
        raise ValueError("it holds a generator, which gives its values once; make it a list")  # noqa: TRY004
    if isinstance(value, SECRETS):
        replaced.append(type(value))
        return _plain(value.get_secret_value(), replaced)
    if isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type)):
        codec = codec_of(type(value))
        assert isinstance(codec, TypedCodec)  # noqa: S101  as there is a type
        replaced.append(type(value))
        return codec.serializer.to_python(value, mode="json", by_alias=True, warnings=False)
    return value


def _plain_keys(found: dict[Any, Any], number: int) -> dict[Any, Any]:
    texts = number if all(type(key) is str for key in found) else len(from_json(to_json(dict.fromkeys(found))))
    if min(len(found), texts) < number:
        raise ValueError("two of its keys are one text in JSON, where each key is a text")
    return found


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]
