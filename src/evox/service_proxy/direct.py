"""Direct: calls an endpoint of this process without HTTP: bind, the pipeline, and the bytes that its answer would be.

It is for endpoints that need no request and whose answer is JSON. Everything else is called through the app; see
``exchange``. A failure becomes the answer that the app's handlers would make of it.
"""

import logging
from typing import Any, Final

import anyio
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.utils import is_body_allowed_for_status_code
from starlette.requests import Request
from starlette.responses import Response

from evox import context, events
from evox.auth import enter_principal
from evox.errors import Escaped
from evox.failures import describe
from evox.service_proxy.exchange import Parts, request_scope
from evox.service_proxy.replies import JSON_HEADERS, NoAnswer, Reply
from evox.services import Call, Running
from evox.services.answers import can_be_shared
from evox.services.binding import Binding, is_bindable
from evox.services.caching import caching_of
from evox.services.call import enter_call
from evox.services.direct import handlers_of
from evox.services.encoding import Wire
from evox.services.failing import response_to
from evox.services.operations import Operation
from evox.services.pipeline import Pipeline
from evox.services.results import Results, splits
from evox.services.writing import writer_of
from evox.strays import is_stray

__all__ = ["Direct", "is_direct"]

LEFT: Final = 499  # as a request that its client did not wait for
_FAILED: Final = Reply(500, b"Internal Server Error", {"content-type": "text/plain; charset=utf-8"})
_log = logging.getLogger("evox.requests")


def is_direct(operation: Operation, app: Any) -> bool:
    """Whether an endpoint can be called without HTTP, and mean the same.

    Args:
        operation: The endpoint.
        app: The service's app: middleware, which may do anything, runs round requests alone.
    """
    row, route = operation.row, operation.route
    if row is None or app.user_middleware or app.debug or operation.streams is not None:
        return False
    if caching_of(row) is not None or operation.keyed or operation.method in ("HEAD", "OPTIONS", "TRACE"):
        return False
    plain = isinstance(route.response_class, DefaultPlaceholder) and route.response_class.value is JSONResponse
    convertors = {type(one).__name__ for one in route.param_convertors.values()}
    return plain and convertors <= {"StringConvertor", "PathConvertor"} and is_bindable(operation)


class Direct:
    """Calls one endpoint.

    Args:
        operation: The endpoint; see ``is_direct``.
        app: The service's app.
    """

    def __init__(self, operation: Operation, app: Any) -> None:
        self._operation = operation
        self._app = app
        row, route = operation.row, operation.route
        assert row is not None  # noqa: S101  is_direct
        pipeline: Pipeline = route.endpoint.__evox_pipeline__
        self.row = row
        self.binding = Binding(operation)
        self._inner = pipeline.inner
        self._run = pipeline.outer(self._respond)
        self._splits = Results(row.name) if splits(row.returns) else None
        self._dump = writer_of(route)
        self._status: int = route.status_code or 200

    def __repr__(self) -> str:
        return f"<Direct call of {self._operation}>"

    async def __call__(self, running: Running, wire: Wire, call: Call) -> Reply:
        """Make one call, in the context of the present task.

        Args:
            running: The service that is called.
            wire: The arguments.
            call: The call; its ``wire`` is set here.
        """
        context.enter_service(running)
        if call.internal is not None:
            enter_principal(call.internal)
        call.wire = wire
        if events.is_observed():
            return await self._observed(running, call)
        try:
            return await self._run(call)  # type: ignore[no-any-return]
        except NoAnswer:
            raise
        except BaseException as error:  # noqa: BLE001  becomes the answer that HTTP would give, or is raised again
            return await self._failed(error, running, call)

    async def _observed(self, running: Running, call: Call) -> Reply:
        """Make a call, and report it."""
        began, status = running.clock(), LEFT
        try:
            reply: Reply = await self._run(call)
            status = reply.status
        except NoAnswer:
            status = 500
            raise
        except BaseException as error:  # noqa: BLE001  becomes the answer that HTTP would give, or is raised again
            reply = await self._failed(error, running, call)
            status = reply.status
        finally:
            took = running.clock() - began
            events.call_finished(running.name, self._operation.name, "internal", status, took)
        return reply

    async def _respond(self, call: Call) -> Reply:
        arguments = await self.binding.bind(call.wire)
        value = await self._inner(call, arguments)
        status = self._status
        if isinstance(value, Response):
            return await _reply_of(value)
        if self._splits is not None and type(value) is tuple:
            response = Response()
            del response.headers["content-length"]
            response.status_code = status
            value = self._splits.apply(value, response)
            if isinstance(value, Response):
                return await _reply_of(value)
            status = response.status_code
            body = self._dump(value)
            headers = JSON_HEADERS | dict(response.headers) if response.headers else JSON_HEADERS
        else:
            body, headers = self._dump(value), JSON_HEADERS
        is_sent = status == 200 or is_body_allowed_for_status_code(status)
        return Reply(status, body if is_sent else b"", headers)

    async def _failed(self, error: BaseException, running: Running, call: Call) -> Reply:
        """Return what the app makes of an error: of those of its own handlers, FastAPI's, and ours.

        Raises:
            BaseException: the error, if it is none of the callee's: its caller is cancelled.
        """
        if not isinstance(error, Exception):
            if not is_stray(error):
                raise error
            error = Escaped(str(self._operation), error)
        enter_call(call)  # what is said of its end belongs to it, and nothing else follows in this context
        request = _request(self._app, self._operation, running, call.wire)
        try:
            # What a 422 says of the arguments is for its reader alone: as a cause it would be in every log.
            cause = None if isinstance(error, RequestValidationError) else error
            return await _reply_of(await response_to(error, request), cause=cause)
        except NoAnswer:
            raise
        except Exception as failure:  # noqa: BLE001  what no handler takes is the callee's failure
            name = context.current_service("a call").name
            label = f"{name}: {self._operation}"
            _log.error("%s failed\n%s", label, describe(failure), exc_info=failure)
            events.notify(events.CallFailed(name, self._operation.name, failure))
            handlers = self._app.exception_handlers
            last = handlers.get(500) or handlers.get(Exception)
            if last is not None:
                made = last(request, failure)
                return await _reply_of(await made if hasattr(made, "__await__") else made, cause=failure)
            return Reply(_FAILED.status, _FAILED.body, _FAILED.headers, failure)


async def _reply_of(response: Response, *, cause: Exception | None = None) -> Reply:
    """Return a response as its bytes; what it wants done after it is done by the service, as after HTTP."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        several = name in headers and name != "content-type"  # of that, the last one counts: see EvoxRoute
        headers[name] = f"{headers[name]}, {value}" if several else value
    background, response.background = response.background, None
    if background is not None:
        running = context.current_service("a background task")
        assert isinstance(running, Running)  # noqa: S101  Direct has entered one
        running.start_soon(background, name="background tasks of a call")
    if can_be_shared(response):
        return Reply(response.status_code, bytes(response.body), headers, cause)
    parts = Parts()
    try:
        await response({"type": "http", "method": "GET", "headers": [], "extensions": {}}, _never, parts.send)
    except NoAnswer:
        raise
    except Exception as error:
        if parts.begun:
            raise NoAnswer("its answer broke off", sent=True) from error
        raise
    return Reply(response.status_code, parts.body(), headers, cause)


async def _never() -> Any:
    await anyio.sleep_forever()


def _request(app: Any, operation: Operation, running: Running, wire: Wire) -> Request:
    """Return the request that a call would have been, for handlers of errors."""
    scope = request_scope(app, operation, wire) | {
        "starlette.exception_handlers": handlers_of(app),
        "endpoint": operation.route.endpoint,
        "path_params": dict(wire.values),
        "route": operation.route,
        "state": dict(running.state),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": wire.body or b"", "more_body": False}

    return Request(scope, receive)
