"""Endpoints of which most can be compiled: a grammar of declarations, each of which is made once for each app.

FastAPI changes what a parameter is declared with, so nothing of a declaration is shared by two apps but its types.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import BackgroundTasks, Body, Cookie, Depends, Form, Header, HTTPException, Path, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import AliasChoices
from tests.properties.compiled_results import Result
from tests.properties.operation_values import Kind, told

from evox import Controller
from evox.services.controllers import Verb

__all__ = ["NONE", "Endpoint", "Parameter"]

PLACES: dict[str, Callable[..., Any]] = {
    "path": Path,
    "query": Query,
    "header": Header,
    "cookie": Cookie,
    "body": Body,
    "form": Form,
}
NONE = object()


@dataclass
class Parameter:
    """One parameter of a handler.

    Attributes:
        name: Its name.
        where: Where its value stands: path, query, header, cookie, body or form.
        kind: Its type, and what it can be given.
        style: How it is declared: ``"annotated"``, ``"default"``, or ``"bare"``, with nothing that says where.
        default: Its default, or ``NONE``.
        factory: Whether the default is made each time.
        options: Of what it is declared with, e.g. ``alias``.
        converter: Of a path.
    """

    name: str
    where: str
    kind: Kind
    style: str = "annotated"
    default: Any = NONE
    factory: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    converter: str = ""

    def declared(self) -> inspect.Parameter:
        """Return it as it stands in a signature."""
        kind, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
        options = dict(self.options)
        default = empty if self.default is NONE else self.default
        if self.factory:
            value = self.default
            options["default_factory"], default = (lambda: value), empty
        if self.style == "default":
            if default is not empty:
                options["default"] = default
            return inspect.Parameter(
                self.name, kind, annotation=self.kind.annotation, default=PLACES[self.where](**options)
            )
        annotation: Any = self.kind.annotation
        if self.style != "bare":
            info = PLACES[self.where](**options)
            annotation = Annotated.__class_getitem__((annotation, info))  # type: ignore[attr-defined]
        return inspect.Parameter(self.name, kind, annotation=annotation, default=default)

    @property
    def sent_as(self) -> str:
        """The name that its value is sent by."""
        validation = self.options.get("validation_alias")
        if isinstance(validation, AliasChoices):
            return str(validation.choices[-1])
        name: str = validation or self.options.get("alias") or self.name
        is_dashed = self.where == "header" and name == self.name and self.options.get("convert_underscores", True)
        return name.replace("_", "-") if is_dashed else name

    @property
    def embedded(self) -> bool:
        """Whether it asks to be a member of the body by itself."""
        return bool(self.options.get("embed"))


@dataclass
class Endpoint:
    """One endpoint.

    Attributes:
        method: Its method.
        path: Its path.
        parameters: What stands in requests.
        result: What its handler does.
        options: Of its decorator, with those that the result asks for.
        sync: Whether it runs in a thread.
        controller: Whether ours is the method of a controller.
        more: What it takes beside, which FastAPI alone can give.
    """

    method: str
    path: str
    parameters: list[Parameter]
    result: Result
    options: dict[str, Any]
    sync: bool
    controller: bool
    more: str

    def __repr__(self) -> str:
        given = ", ".join(str(one.declared()) for one in self.parameters)
        how = "def" if self.sync else "async def"
        beside = f" with {self.more}" if self.more else ""
        return f"<{self.method} {self.path} {how} ({given}) -> {self.result.returns} {self.options}{beside}>"

    @property
    def compiled(self) -> bool:
        """Whether all that it uses can be compiled."""
        return not self.more

    @property
    def embeds(self) -> bool:
        """Whether its body is an object with a member for each parameter."""
        bodies = [one for one in self.parameters if one.where == "body"]
        return len(bodies) > 1 or any(one.embedded for one in bodies)

    def on(self, app: Any, calls: list[Any], *, ours: bool) -> None:
        """Declare it.

        Args:
            app: A service, or FastAPI's app.
            calls: Is given what the handler is called with.
            ours: Whether the app is a service.
        """
        options = dict(self.options)
        if self.more == "dependencies":
            options["dependencies"] = [Depends(_refusing)]
        signature = [*(one.declared() for one in self.parameters), *_more(self.more)]
        handler = _handler(self.result.run, calls, sync=self.sync)
        if ours and self.controller:
            method_of = _as_method(handler)
            me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
            _dress(method_of, [me, *signature], self.result.returns)
            made = type("Made", (), {"made": Verb(self.path, methods=[self.method], **options)(method_of)})
            app.register_controller(Controller("/c")(made))
            return
        _dress(handler, signature, self.result.returns)
        path = f"/c{self.path}" if self.controller else self.path
        (app.endpoint if ours else app.api_route)(path, methods=[self.method], **options)(handler)


def _dress(handler: Any, parameters: Sequence[inspect.Parameter], returns: Any) -> None:
    handler.__name__ = handler.__qualname__ = "made"
    handler.__signature__ = inspect.Signature(parameters, return_annotation=returns)
    handler.__annotations__ = {}


def _noted(values: dict[str, Any], calls: list[Any]) -> None:
    """Note what a handler is called with."""
    found = {name: value for name, value in values.items() if name not in ("request", "response", "background")}
    calls.append(told(found))
    if "request" in values:
        calls.append(str(values["request"].url))
    if "response" in values:
        values["response"].headers["x-made"] = "yes"
        values["response"].set_cookie("made", "yes")
        values["response"].status_code = 203
    if "background" in values:
        values["background"].add_task(calls.append, "later")


def _spoilt(values: dict[str, Any]) -> None:
    """Change what a handler was given, as handlers may: the next one's defaults are not to change with it."""
    for value in values.values():
        if type(value) is list:
            value.append("spoilt")
        elif type(value) is dict:
            value["spoilt"] = True
        elif type(value) is set:
            value.add("spoilt")


def _handler(run: Callable[[dict[str, Any]], Any], calls: list[Any], *, sync: bool) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(run):

        async def streaming(**values: Any) -> Any:
            _noted(values, calls)
            async with aclosing(run(values)) as items:
                async for item in items:
                    yield item

        return streaming
    if inspect.isgeneratorfunction(run):

        def stepping(**values: Any) -> Any:
            _noted(values, calls)
            yield from run(values)

        return stepping

    def returning(values: dict[str, Any]) -> Any:
        _noted(values, calls)
        result = run(values)
        if not any(result is one for one in values.values()):
            _spoilt(values)
        return result

    async def waiting(**values: Any) -> Any:
        return returning(values)

    def threaded(**values: Any) -> Any:
        return returning(values)

    return threaded if sync else waiting


def _as_method(handler: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(handler):

        async def waiting(self: Any, **values: Any) -> Any:
            del self
            return await handler(**values)

        return waiting

    def threaded(self: Any, **values: Any) -> Any:
        del self
        return handler(**values)

    return threaded


async def _needed(extra: int = 0) -> int:
    if extra < 0:
        raise HTTPException(409, {"extra": extra})
    return extra


async def _ending(extra: int = 0) -> AsyncIterator[int]:
    if extra < 0:
        raise HTTPException(403)
    yield extra


def _stepping(extra: Annotated[int, Header()] = 0) -> Iterator[int]:
    yield extra


async def _refusing(x_pass: Annotated[str, Header()] = "yes") -> None:
    if x_pass != "yes":
        raise HTTPException(401, headers={"www-authenticate": "Test"})


def _more(beside: str) -> Iterator[inspect.Parameter]:
    """Yield what an endpoint takes beside what stands in requests."""
    annotations: dict[str, Any] = {
        "needed": Annotated[Any, Depends(_needed)],
        "ending": Annotated[Any, Depends(_ending)],
        "stepping": Annotated[Any, Depends(_stepping)],
        "bearer": Annotated[Any, Depends(HTTPBearer())],
        "request": Request,
        "response": Response,
        "background": BackgroundTasks,
    }
    if beside in annotations:
        yield inspect.Parameter(beside, inspect.Parameter.KEYWORD_ONLY, annotation=annotations[beside])
