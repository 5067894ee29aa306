"""Misfits: the answer to arguments that do not fit, byte for byte that of FastAPI.

FastAPI makes each part of it fit for JSON first. What a client sends mostly is that already, and a refusal should not
take several times as long as an answer.
"""

import json
from typing import Final

from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from evox.services.answers import ready

__all__ = ["refuse_arguments"]

_JSON: Final = (b"content-type", b"application/json")
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_LEFT_OUT: Final = b'"_sa'  # how names begin that FastAPI leaves out, for those of SQLAlchemy


async def refuse_arguments(request: Request, error: RequestValidationError) -> Response:
    """Answer 422, in the place of FastAPI's own handler.

    Args:
        request: What is refused.
        error: What does not fit.
    """
    try:
        body = _encode({"detail": error.errors()}).encode()
    except (TypeError, ValueError, RecursionError):  # e.g. an exception that a validator has raised
        return await request_validation_exception_handler(request, error)
    if _LEFT_OUT in body:
        return await request_validation_exception_handler(request, error)
    return ready(422, [(b"content-length", b"%d" % len(body)), _JSON], body)
