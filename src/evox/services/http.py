"""HTTP: rows -> FastAPI routes.

Each row becomes FastAPI routes whose endpoint runs the inner steps and whose request handler runs the outer steps
before the body is read. Parsing, validation, serialisation and OpenAPI stay FastAPI's own.
"""

import inspect
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial, wraps
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
from fastapi import FastAPI, Request, Response, routing
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.utils import get_dependant
from fastapi.exceptions import FastAPIError
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic.errors import PydanticUserError
from starlette.concurrency import iterate_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from evox import context, events
from evox.errors import AsyncioOnly, InvalidDeclaration, UnbindableParameter, place_of
from evox.runtime import is_async, is_asyncio_only_error, on_trio
from evox.services import results
from evox.services.admission import take_hints
from evox.services.cache_steps import cache_of
from evox.services.caching import caching_of
from evox.services.call import OPENED, Call, current_call, inbound_of
from evox.services.endpoint import Endpoint
from evox.services.idempotency import answer_keyed, keyed_of
from evox.services.injection import marker_of
from evox.services.inputs import has_endings
from evox.services.pipeline import Inner, Pipeline, compile_pipeline
from evox.services.running import Running
from evox.services.steps import STEPS
from evox.services.writes import write_of

__all__ = ["EvoxRoute", "add_routes"]

_LEFT = 499  # what logs of servers call an answer that its client did not wait for
_RESPONSE = "evox_response"
_NO_FIELD = "Invalid args for response field"  # how FastAPI's message begins, for parameters too
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class EvoxRoute(APIRoute):
    """A FastAPI route that runs the outer steps of its row before the body is read."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler in the outer steps."""
        answer = super().get_route_handler()
        route = _effective(self)
        row: Endpoint = self.endpoint.__evox_row__  # type: ignore[attr-defined]
        pipeline: Pipeline = self.endpoint.__evox_pipeline__  # type: ignore[attr-defined]

        async def respond(call: Call) -> Response:
            response = await answer(call.request)
            if len(response.headers.getlist("content-type")) > 1:  # FastAPI's, then the one in the handler's headers
                response.headers["content-type"] = response.headers.getlist("content-type")[-1]
            return response

        steps = pipeline.outer(respond)
        cache, keyed = cache_of(row, route.dependant), keyed_of(row, route.dependant)
        whole_body = route.body_field is not None and not isinstance(route.body_field.field_info, Form)
        ends_late = has_endings(route.dependant)

        async def handle(request: Request) -> Any:
            scope = context.maybe_service()
            name = scope.name if scope is not None else ""
            generators: list[Any] = []
            _generators.set(generators)
            inbound = inbound_of(request.scope)
            if inbound is None:
                call = Call(row, "http", name, request.method, request, current_call())
            else:
                inbound.check(name, f"{request.method} {row.path}")
                call = Call(row, "internal", name, request.method, request, inbound.parent, inbound.internal)
            call.opened = request.scope.get("extensions", {}).get(OPENED)
            call.whole_body, call.cache, call.keyed = whole_body, cache, keyed
            take_hints(call, request.scope)
            write = write_of(request.scope)
            if write is not None:
                write.row, write.goes_on = row, ends_late
            response: Any = await steps(call)
            streams = isinstance(response, StreamingResponse)
            if write is not None and (streams or getattr(response, "background", None) is not None):
                write.goes_on = True
            return _Closing(response, generators) if streams else response

        return handle

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and report the call with the status that its client got."""
        if scope["method"] not in (self.methods or ()):
            try:
                await super().handle(scope, receive, send)
            except HTTPException as error:
                error.headers = {"Allow": ", ".join(_methods_at(self, scope))}
                raise
            return
        service = context.maybe_service()
        clock = service.clock if isinstance(service, Running) else anyio.current_time
        status, began, ended = 500, clock(), None
        kept: float | None = self.endpoint.__evox_row__.idempotency  # type: ignore[attr-defined]
        opened = scope.get("extensions", {}).get(OPENED)
        if opened is not None:
            opened.decide(self.endpoint.__evox_row__.on_disconnect)  # type: ignore[attr-defined]
            if opened.left:
                await anyio.lowlevel.checkpoint()  # nobody waits for what has not begun

        async def watching(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body", False):
                ended = clock()  # FastAPI's background tasks come after this
            await send(message)

        try:
            if kept is None:
                await super().handle(scope, receive, watching)
            else:
                await answer_keyed(super().handle, kept, scope, receive, watching)
        finally:
            took = (ended or clock()) - began
            name = service.name if service is not None else ""
            if ended is None and opened is not None and opened.left:
                status = _LEFT
            origin = "http" if inbound_of(scope) is None else "internal"
            events.call_finished(name, self.name, origin, status, took)


def _methods_at(route: APIRoute, scope: Scope) -> list[str]:
    """Return the methods that the path of a route answers: each has a route of its own (RFC 9110, section 15.5.6)."""
    beside = (one for one in scope["app"].router.routes if one.matches(scope)[0] is Match.PARTIAL)
    return sorted({method for one in (route, *beside) for method in getattr(one, "methods", None) or ()})


_generators: ContextVar[list[Any]] = ContextVar("evox_generators")


def _effective(route: APIRoute) -> Any:
    """Return a route as it is where it is being included: with the dependencies of routers above it.

    FastAPI tells only by a private variable; before it had that, it made a new route of its own for each inclusion.
    """
    variable: ContextVar[Any] | None = getattr(routing, "_effective_route_context_var", None)
    found = None if variable is None else variable.get()
    return found if found is not None and found.original_route is route else route


class _Closing:
    """A streaming answer whose generators are closed when it ends, however it ends; Starlette leaves that to chance."""

    def __init__(self, response: StreamingResponse, generators: list[Any]) -> None:
        self._response = response
        self._generators = generators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            for generator in (self._response.body_iterator, *self._generators):
                if hasattr(generator, "aclose"):
                    await generator.aclose()


def add_routes(app: FastAPI, row: Endpoint) -> None:
    """Add a row to an app: one route for each method, so that each has its own place in OpenAPI.

    Raises:
        UnbindableParameter: if nothing in a request can fill a parameter.
        InvalidDeclaration: if FastAPI refuses an option or the return type.
    """
    options = dict(row.options)
    options["include_in_schema"] = options.get("include_in_schema", True) and not row.private
    endpoint = _endpoint(row)
    for method in row.methods:
        try:
            _bindable(row)
            app.router.add_api_route(row.path, endpoint, methods=[method], route_class_override=EvoxRoute, **options)
        except (FastAPIError, PydanticUserError, AssertionError) as error:
            raise _explain(row, error) from error
        if row.both_slashes:
            hidden = options | {"include_in_schema": False}
            app.router.add_api_route(
                row.path + "/", endpoint, methods=[method], route_class_override=EvoxRoute, **hidden
            )


def _endpoint(row: Endpoint) -> Callable[..., Any]:
    """Make the function that FastAPI calls with validated arguments."""
    if inspect.isgeneratorfunction(row.handler) or inspect.isasyncgenfunction(row.handler):
        endpoint, signature = _streaming(row), row.signature
        pipeline = compile_pipeline(row, STEPS, _invoke(row))
    else:
        pipeline = compile_pipeline(row, STEPS, _invoke(row))
        endpoint, signature = _returning(row, pipeline.inner)
    endpoint.__name__ = row.name
    endpoint.__doc__ = row.handler.__doc__
    endpoint.__module__ = getattr(row.handler, "__module__", type(row.handler).__module__)
    endpoint.__signature__ = _injected(signature)  # type: ignore[attr-defined]
    endpoint.__evox_row__ = row  # type: ignore[attr-defined]
    endpoint.__evox_pipeline__ = pipeline  # type: ignore[attr-defined]
    return endpoint


def _returning(row: Endpoint, inner: Inner) -> tuple[Callable[..., Any], inspect.Signature]:
    signature = row.signature
    split = results.Results(row.name, row.options.get("response_class")).apply if results.splits(row.returns) else None
    if split is None and caching_of(row) is None:

        async def plain(**arguments: Any) -> Any:
            return await inner(current_call(), arguments)

        return plain, signature

    # What FastAPI collects headers in that dependencies and the handler set beside the answer.
    own = next((one.name for one in signature.parameters.values() if one.annotation is Response), None)
    if own is None:
        hidden = inspect.Parameter(_RESPONSE, inspect.Parameter.KEYWORD_ONLY, annotation=Response)
        signature = signature.replace(parameters=[*signature.parameters.values(), hidden])
    if split is not None:
        signature = signature.replace(return_annotation=results.declared_return(row.returns))

    async def responding(**arguments: Any) -> Any:
        response = arguments.pop(_RESPONSE) if own is None else arguments[own]
        call = current_call()
        if call is not None:
            call.response = response
        value = await inner(call, arguments)
        return value if split is None else split(value, response)

    return responding, signature


def _streaming(row: Endpoint) -> Callable[..., Any]:
    handler = _bound(row)
    waits = inspect.isasyncgenfunction(row.handler)

    async def stream(**arguments: Any) -> Any:
        made: Any = handler()(**arguments)
        try:
            async with aclosing(made if waits else iterate_in_threadpool(made)) as parts:  # type: ignore[type-var]
                async for part in parts:
                    yield part
        finally:
            if not waits:
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(made.close)  # its code runs in threads, to the last line

    @wraps(stream)  # FastAPI looks through it, and finds a generator
    def begin(**arguments: Any) -> Any:
        begun = stream(**arguments)
        _generators.get().append(begun)
        return begun

    return begin


def _bound(row: Endpoint) -> Callable[[], Callable[..., Any]]:
    """Return what gives the callable: the function itself, or the method of the running service's instance."""
    handler, controller = row.handler, row.controller
    if controller is None:
        return lambda: handler
    name = handler.__name__
    if isinstance(inspect.getattr_static(controller, name, None), staticmethod | classmethod):
        return lambda: getattr(controller, name)
    wanted = f"controller {controller.__name__}"
    return lambda: handler.__get__(context.current_service(wanted).resolve(controller))


def _invoke(row: Endpoint) -> Inner:
    handler = _bound(row)
    waits = is_async(row.handler)

    async def invoke(call: Call | None, arguments: dict[str, Any]) -> Any:
        del call
        try:
            return await (handler()(**arguments) if waits else _in_thread(handler(), arguments))
        except (RuntimeError, TypeError, AttributeError) as error:
            if on_trio() and is_asyncio_only_error(error):
                raise AsyncioOnly(f"endpoint {row.name!r}", error, row.place) from error
            raise

    return invoke


async def _in_thread(handler: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a sync handler. The seat that it runs on is its right to a thread: no level can take another's threads."""
    threads = None if context.maybe_seat() is None else anyio.CapacityLimiter(1)
    return await anyio.to_thread.run_sync(partial(handler, **arguments), limiter=threads)


def _injected(signature: inspect.Signature) -> inspect.Signature:
    """Turn parameters that ask for injection into FastAPI dependencies."""
    parameters = []
    for parameter in signature.parameters.values():
        marker = marker_of(parameter.default, parameter.annotation)
        if marker is None:
            parameters.append(parameter)
            continue
        kept = parameter.empty if parameter.default is marker else parameter.default
        annotation = Annotated[Any, marker]
        parameters.append(parameter.replace(annotation=annotation, default=kept))
    return signature.replace(parameters=sorted(parameters, key=_order))


def _order(parameter: inspect.Parameter) -> tuple[bool, bool]:
    return parameter.kind is parameter.KEYWORD_ONLY, parameter.default is not parameter.empty


def _bindable(row: Endpoint) -> None:
    """Refuse ``Param()`` for a name that the path does not hold: FastAPI would answer 422 to every request."""
    for parameter in row.signature.parameters.values():
        is_path = type(parameter.default).__module__ == "fastapi.params" and type(parameter.default).__name__ == "Path"
        if is_path and f"{{{parameter.name}}}" not in row.path and f"{{{parameter.name}:" not in row.path:
            alias = getattr(parameter.default, "alias", None)
            if alias is None or f"{{{alias}" not in row.path:
                why = f"{parameter.name!r} is a Param(), but the path {row.path!r} has no {{{parameter.name}}}"
                fix = f"write {{{parameter.name}}} into the path, or Query() instead of Param()"
                raise UnbindableParameter(row.name, why, row.place, fix=fix)


def _explain(row: Endpoint, error: Exception) -> UnbindableParameter | InvalidDeclaration:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    for parameter in row.signature.parameters.values():
        if marker_of(parameter.default, parameter.annotation) is not None:
            continue

        async def alone() -> None: ...

        kind = inspect.Parameter.KEYWORD_ONLY
        alone.__signature__ = inspect.Signature([parameter.replace(kind=kind)])  # type: ignore[attr-defined]
        try:
            get_dependant(path=row.path, call=alone)
        except (FastAPIError, PydanticUserError, AssertionError):
            shown = getattr(parameter.annotation, "__name__", parameter.annotation)
            reason = f"{shown} is no type that pydantic can validate" if text.startswith(_NO_FIELD) else text
            return UnbindableParameter(row.name, f"parameter {parameter.name!r}: {reason}", row.place)
    reason = "it is no type that pydantic can validate" if text.startswith(_NO_FIELD) else text
    on, place = f"endpoint {row.name!r}", row.place or place_of(row.handler)
    return InvalidDeclaration("return type or option", row.returns, on=on, why=reason, place=place)
