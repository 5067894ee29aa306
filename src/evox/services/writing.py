"""Writing: a handler's value as the JSON that FastAPI would write, by what pydantic has compiled for its type."""

from collections.abc import Callable
from typing import Any, Final

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError

from evox.services.parameters import located

__all__ = ["writer_of"]

_PLAIN: Final = {
    "include": None,
    "exclude": None,
    "by_alias": True,
    "exclude_unset": False,
    "exclude_defaults": False,
    "exclude_none": False,
}


def writer_of(route: Any) -> Callable[[Any], bytes]:
    """Return what writes the answers of a FastAPI route that has no response class of its own.

    What it returns raises ``ResponseValidationError`` where a value is not what the route says.
    """
    field = route.response_field
    if field is None:

        def encode(value: Any) -> bytes:
            return bytes(JSONResponse(jsonable_encoder(value)).body)

        return encode
    options = {
        "include": route.response_model_include,
        "exclude": route.response_model_exclude,
        "by_alias": route.response_model_by_alias,
        "exclude_unset": route.response_model_exclude_unset,
        "exclude_defaults": route.response_model_exclude_defaults,
        "exclude_none": route.response_model_exclude_none,
    }

    # What FastAPI's field does in two calls of its own, it does with this.
    adapter: TypeAdapter[Any] | None = getattr(field, "_type_adapter", None)
    is_plain = adapter is not None and options == _PLAIN

    validate: Any = adapter.validator.validate_python if adapter is not None else None
    to_json: Any = adapter.serializer.to_json if adapter is not None else None

    def dump(value: Any) -> bytes:
        if is_plain:
            try:
                return to_json(validate(value, from_attributes=True), by_alias=True)  # type: ignore[no-any-return]
            except ValidationError as error:
                raise ResponseValidationError(errors=located(error, ("response",)), body=value) from None
        valid, errors = field.validate(value, {}, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=value)
        written: bytes = field.serialize_json(valid, **options)
        return written

    return dump
