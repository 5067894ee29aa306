"""Failing: what an error or a status says of the handler: that it fails, that there is nothing, or neither."""

from collections.abc import Callable
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from evox.data import Policy
from evox.errors import EvoxError

__all__ = ["FAILURES", "NOTHING", "FailedAnswer", "fails", "handled", "is_failure", "response_to", "says_nothing"]

FAILURES: Final = frozenset({500, 502, 503, 504})
NOTHING: Final = frozenset({404, 410})


class FailedAnswer(Exception):
    """The app answered with a status that says that it fails."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


def is_failure(error: Exception) -> bool:
    """Whether an error says that the source fails: not what is the client's own fault."""
    if isinstance(error, HTTPException):
        return error.status_code in FAILURES
    if isinstance(error, EvoxError):
        return error.status in FAILURES or hasattr(error, "retry_after")
    return not isinstance(error, RequestValidationError)


async def fails(error: Exception, request: Request) -> bool:
    """Whether an error says that the source fails, whatever handlers the app has for it: one may make it a 4xx."""
    if not is_failure(error) or isinstance(error, EvoxError | HTTPException):
        return is_failure(error)
    try:
        return (await response_to(error, request)).status_code in FAILURES
    except Exception:  # noqa: BLE001  there is none, or it fails too
        return True


async def handled(run: Callable[[], Any], request: Request, policy: Policy) -> Response:
    """Run a call; an exception for which the app has a handler of its own becomes that handler's response."""
    try:
        response: Response = await run()
    except (EvoxError, HTTPException, RequestValidationError) as error:
        if not says_nothing(error, policy):
            raise
        return await response_to(error, request)
    except Exception as error:  # noqa: BLE001  raised again if there is none
        return await response_to(error, request)
    return response


def says_nothing(error: Exception, policy: Policy) -> bool:
    """Whether an error says that there is nothing, and that is to be kept."""
    return isinstance(error, HTTPException) and error.status_code in NOTHING and policy.negative_ttl is not None


async def response_to(error: Exception, request: Request) -> Response:
    """Return what the app's own handlers make of an error.

    Raises:
        Exception: the error, if there is none for it.
    """
    kinds, statuses = request.scope.get("starlette.exception_handlers", ({}, {}))
    handler = statuses.get(error.status_code) if isinstance(error, HTTPException) else None
    if handler is None:
        handler = next((kinds[kind] for kind in type(error).__mro__ if kind in kinds), None)
    if handler is None:
        raise error
    made = handler(request, error)
    response: Response = await made if hasattr(made, "__await__") else made
    return response
