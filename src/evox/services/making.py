"""Making: has the answer to a call made by a flight, which may outlive the call, for all who want the same.

The handler gets a request of the flight's own. What it gives is kept if it is for everybody who asks the same; if it is
for one client alone, the one whose call began the flight gets it as it is, and nobody else does.
"""

import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from evox.data import DataIO, Loaded, Policy
from evox.services.answers import copied, dispose, is_private, says_private
from evox.services.call import Call, enter_call, leave_call
from evox.services.failing import FAILURES, FailedAnswer, handled
from evox.services.http_errors import problem
from evox.services.pipeline import Outer

__all__ = ["Making", "shared_failure"]


class Making:
    """One call's wish for an answer.

    Args:
        call: The call.
        then: Answers it.
        data: The data of its service.
        policy: Under which the answer is kept.
        loaded: Returns what is to be kept of a response; None if it is for one client alone.

    Attributes:
        error: What the flight that this call began has failed with.
    """

    def __init__(
        self, call: Call, then: Outer, data: DataIO, policy: Policy, loaded: Callable[[Response], Loaded | None]
    ) -> None:
        self._call, self._then, self._data, self._policy, self._loaded = call, then, data, policy, loaded
        self._response: Response | None = None
        self._wanted = True
        self.error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Making of {self._call.endpoint.name!r}>"

    async def load(self) -> Loaded:
        """Have it made. Runs in the flight.

        Raises:
            FailedAnswer: if the app answers with a status that says that it fails.
        """
        try:
            response = await self._answer()
        except Exception as error:
            self.error = error
            raise
        if response.status_code in FAILURES:
            self._detach_tasks(response)
            if not self._wanted:
                await dispose(response)
            self.error = FailedAnswer(response)
            raise self.error
        loaded = self._loaded(response)
        if loaded is None and self._wanted:
            self._response = response
            return Loaded(None)
        self._detach_tasks(response)
        if loaded is None:
            await dispose(response)
        return loaded or Loaded(None)

    def take(self) -> Response | None:
        """Return the answer that is for this call alone, if its flight has made one."""
        response, self._response = self._response, None
        return response

    async def leave(self) -> None:
        """Want it no longer. An answer that nobody took is closed."""
        self._wanted = False
        left = self.take()
        if left is not None:
            with anyio.CancelScope(shield=True):
                await dispose(left)

    async def _answer(self) -> Response:
        """Run the rest of the pipeline, for as long as the endpoint may take; how long a client waits is its affair."""
        limit = self._call.endpoint.timeout
        deadline = math.inf if limit is None else anyio.current_time() + limit
        async with AsyncExitStack() as outer, AsyncExitStack() as inner:
            request = _detached(self._call.request, outer, inner)
            mine = self._call.anew(request, deadline)
            token = enter_call(mine)
            try:
                return await handled(partial(self._then, mine), request, self._policy)
            finally:
                leave_call(token)

    def _detach_tasks(self, response: Response) -> None:
        """Run what is left for after the answer as a job: whoever asked may have left, or may never have waited."""
        if response.background is not None:
            self._data.job(response.background.__call__, name=f"after:{self._call.endpoint.name}")
            response.background = None


def shared_failure(error: Exception, keyed: tuple[str, ...]) -> Response | None:
    """Return the failure of another's call as it may be given to one that asked the same, or None to answer it anew.

    Args:
        error: What the other's call failed with.
        keyed: Names of headers that both have in common.

    Raises:
        Exception: the error itself, if nothing in it is for one client alone.
    """
    if isinstance(error, FailedAnswer):
        response = error.response
        return _bare(response.status_code) if is_private(response, keyed) else copied(response)
    if isinstance(error, HTTPException) and says_private(error.headers or {}):
        return _bare(error.status_code) if error.status_code in FAILURES else None
    raise error


def _bare(status: int) -> Response:
    return problem(status, HTTPStatus(status).phrase)


def _detached(request: Request, outer: AsyncExitStack, inner: AsyncExitStack) -> Request:
    """Return a request as the client's, that does not end when the client leaves."""
    scope = dict(request.scope)
    scope["state"] = dict(scope.get("state", {}))
    scope["extensions"] = {}
    scope["fastapi_middleware_astack"] = scope["fastapi_inner_astack"] = outer
    scope["fastapi_function_astack"] = inner
    began = False

    async def receive() -> Message:
        nonlocal began
        if began:
            await anyio.sleep_forever()
        began = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return Request(scope, receive)
