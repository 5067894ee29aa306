"""HTTP errors: the one place that knows how an error looks on the wire (RFC 9457, ``application/problem+json``).

FastAPI's own errors (422, HTTPException) keep FastAPI's shape; this is for errors of Evox. Facts that help an attacker
(file names, values, the user's frames) go to the log and never into the body.
"""

import json
import logging
import math
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from evox import context, events
from evox.errors import (
    AsyncioOnly,
    AuthError,
    CallError,
    DeadlineExceeded,
    EvoxError,
    NotAllowed,
    ProxyError,
    Rejected,
    TokenRefused,
)
from evox.failures import describe
from evox.services.call import begin_request, correlation_now
from evox.services.correlation import enter_correlation, leave_correlation, maybe_correlation

__all__ = ["ATTEMPTS", "evox_error_handler", "problem", "problem_of"]

_REFUSALS: Final = {401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable"}
ATTEMPTS: Final = "x-evox-attempts"  # of the callee behind an answer: its caller need not try again
_log = logging.getLogger("evox.requests")


def problem(
    status: int,
    title: str,
    *,
    detail: str | None = None,
    type_: str = "about:blank",
    retry_after: float | None = None,
    **more: str,
) -> Response:
    """Make a problem response. From 500 on it says by which request and trace ids the log tells of it.

    Args:
        status: HTTP status.
        title: The kind of problem, the same for each occurrence.
        detail: What was the matter this time.
        type_: URI of the kind; an error's id as ``urn:evox:error:EVX-602``.
        retry_after: Seconds until a retry makes sense; sent rounded up.
        **more: Further members of the document.
    """
    body: dict[str, Any] = {"type": type_, "title": title, "status": status} | more
    if detail is not None:
        body["detail"] = detail
    if status >= 500:
        body |= _found_in_logs()
    headers = {} if retry_after is None else {"retry-after": str(max(1, math.ceil(retry_after)))}
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")


def problem_of(error: EvoxError, *, retry_after: float | None = None) -> Response:
    """Make the problem response of an error of ours. Errors that are not the caller's concern show only their id."""
    if isinstance(error, AuthError) and error.status in _REFUSALS:
        return _refusal(error)
    kind = f"urn:evox:error:{error.id}"
    if isinstance(error, AsyncioOnly):
        return problem(error.status, "Wrong event loop", detail=error.fix, type_=kind)
    if isinstance(error, ProxyError):
        return _of_callee(error)
    if error.status >= 500 and not error.retryable:
        title = "Internal Server Error" if error.status == 500 else type(error).__name__
        return problem(error.status, title, type_=kind)
    if isinstance(error, Rejected):
        facts = {"level": error.level, "reason": error.reason}
        title = type(error).__name__
        return problem(error.status, title, detail=error.what, type_=kind, retry_after=error.retry_after, **facts)
    wait = retry_after
    if wait is None and error.retryable and not isinstance(error, DeadlineExceeded):
        wait = 1.0
    return problem(error.status, type(error).__name__, detail=error.what, type_=kind, retry_after=wait)


def _found_in_logs() -> dict[str, str]:
    known = correlation_now()
    if known is None:
        return {}
    trace = known.trace_id
    return {"request_id": known.request_id} | ({} if trace is None else {"trace_id": trace})


def _of_callee(error: ProxyError) -> Response:
    """Make the answer to a client whose request needed another service. Which one is no concern of its own."""
    wait = getattr(error, "retry_after", None) or (1.0 if error.retryable else None)
    response = problem(
        error.status, HTTPStatus(error.status).phrase, type_=f"urn:evox:error:{error.id}", retry_after=wait
    )
    if isinstance(error, CallError):
        response.headers[ATTEMPTS] = str(error.attempts)
    return response


def _refusal(error: AuthError) -> Response:
    """Make the answer to a caller that was refused (RFC 6750, section 3). It is the same whatever check has failed."""
    scope = context.maybe_service()
    challenge = f'Bearer realm="{scope.name if scope is not None else "evox"}"'
    if isinstance(error, TokenRefused):
        challenge += ', error="invalid_token"'
    elif isinstance(error, NotAllowed):
        challenge += ', error="insufficient_scope"'
    response = problem(error.status, _REFUSALS[error.status], retry_after=1.0 if error.retryable else None)
    if not error.retryable:
        response.headers["www-authenticate"] = challenge
    response.headers["cache-control"] = "no-store"
    return response


async def evox_error_handler(request: Request, error: Exception) -> Response:
    """FastAPI exception handler for the whole tree of errors; logs once what is the service's own fault."""
    assert isinstance(error, EvoxError)  # noqa: S101  registered for this tree only
    known = enter_correlation(maybe_correlation() or begin_request(request.scope))  # under another server there is none
    try:
        if error.status >= 500 and not error.retryable:
            _log.error("%s %s failed\n%s", request.method, request.url.path, describe(error), exc_info=error)
        if error.status >= 500 and not isinstance(error, Rejected):
            scope = context.maybe_service()
            target = getattr(request.scope.get("route"), "name", None) or f"{request.method} {request.url.path}"
            events.notify(events.CallFailed("" if scope is None else scope.name, target, error))
        return problem_of(error)
    finally:
        leave_correlation(known)
