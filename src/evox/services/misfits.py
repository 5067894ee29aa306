"""Misfits: the answer to arguments that do not fit, byte for byte that of FastAPI.

FastAPI makes each part of it fit for JSON first. What a client sends mostly is that already, and a refusal should not
take several times as long as an answer.
"""

import json
from typing import Any, Final

from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from evox.services.answers import JSON, ready

__all__ = ["refuse_arguments"]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_LEFT_OUT: Final = "_sa"  # how names begin that FastAPI leaves out, for those of SQLAlchemy
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


async def refuse_arguments(request: Request, error: RequestValidationError) -> Response:
    """Answer 422, in the place of FastAPI's own handler.

    Args:
        request: What is refused.
        error: What does not fit.
    """
    body = _written(error.errors())
    if body is None:
        return await request_validation_exception_handler(request, error)
    return ready(422, [(b"content-length", b"%d" % len(body)), JSON], body)


def _written(errors: Any) -> bytes | None:
    """Return errors as JSON; None if that is not plainly what FastAPI makes of them."""
    try:
        return _encode({"detail": errors}).encode() if _is_json(errors) else None
    except (ValueError, RecursionError):  # e.g. NaN, or half of a character
        return None


def _is_json(value: Any) -> bool:
    """Whether all of a value is of those types that JSON has; not what is derived from them, such as an enum."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is dict:
        for key, one in value.items():
            if type(key) is not str or key.startswith(_LEFT_OUT) or not _is_json(one):
                return False
        return True
    return (kind is list or kind is tuple) and all(map(_is_json, value))
