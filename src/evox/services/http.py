"""HTTP: rows -> FastAPI routes.

Each row becomes FastAPI routes whose endpoint runs the inner steps and whose request handler runs the outer steps
before the body is read. Parsing, validation, serialisation and OpenAPI stay FastAPI's own.
"""

import inspect
from collections.abc import Callable
from contextlib import aclosing
from functools import partial, wraps
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.utils import get_dependant
from fastapi.exceptions import FastAPIError
from pydantic.errors import PydanticUserError
from starlette.concurrency import iterate_in_threadpool

from evox import context
from evox.errors import AsyncioOnly, InvalidDeclaration, UnbindableParameter, place_of
from evox.runtime import is_async, is_asyncio_only_error, on_trio
from evox.services import results
from evox.services.caching import caching_of
from evox.services.call import Call, current_call
from evox.services.endpoint import Endpoint
from evox.services.injection import marker_of
from evox.services.pipeline import Inner, compile_pipeline
from evox.services.route import EvoxRoute, note_generator
from evox.services.steps import STEPS

__all__ = ["add_routes"]

_RESPONSE = "evox_response"
_NO_FIELD = "Invalid args for response field"  # how FastAPI's message begins, for parameters too


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
    if row.is_stream:
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
        note_generator(begun)
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
    if parameter.kind is parameter.KEYWORD_ONLY:
        return True, False  # as written: OpenAPI and the errors of a 422 have that order
    return False, parameter.default is not parameter.empty


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
