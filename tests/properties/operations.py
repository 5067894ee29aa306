"""Operations: services made at random, with all that an endpoint can be, and arguments for each of them.

The same seed makes the same services, so one can run beside its caller and another behind a socket.
"""

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Optional

from fastapi import Body, Cookie, Depends, Header, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic.fields import FieldInfo
from tests.properties.operation_results import BEHAVIOURS, Behaviour, OddError
from tests.properties.operation_values import FIELDS, KINDS, LISTS, MODELS, PLAIN, Kind

from evox import DELETE, GET, PATCH, POST, PUT, Controller, Service, ServiceBuilder

__all__ = ["Made", "made_service"]

VERBS: dict[str, Callable[..., Any]] = {"GET": GET, "POST": POST, "PUT": PUT, "PATCH": PATCH, "DELETE": DELETE}
PLACES: dict[str, Callable[..., Any]] = {"path": Path, "query": Query, "header": Header, "cookie": Cookie, "body": Body}
_NONE = object()


@dataclass
class Parameter:
    """One parameter of a handler, and what it can be given."""

    name: str
    where: str
    kind: Kind
    default: Any = _NONE
    factory: bool = False
    alias: str | None = None
    embed: bool = False

    def declared(self) -> inspect.Parameter:
        """Return it as it stands in a signature."""
        options: dict[str, Any] = {} if self.alias is None else {"alias": self.alias}
        if self.embed:
            options["embed"] = True
        if self.factory:
            options["default_factory"] = lambda: self.default
        info: FieldInfo = PLACES[self.where](**options)
        default = inspect.Parameter.empty if self.default is _NONE or self.factory else self.default
        annotation: Any = Annotated.__class_getitem__((self.kind.annotation, info))  # type: ignore[attr-defined]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


@dataclass
class Made:
    """One operation that was made.

    Attributes:
        name: Its name.
        about: What it is, for people.
        streams: Whether its answer is read part by part.
        arguments: What it is called with, one set after the other; those that fit come first.
        fitting: How many fit.
        takes: The types of its parameters, by name, if its answer says what it was given.
    """

    name: str
    about: str
    streams: bool
    arguments: list[dict[str, Any]]
    fitting: int
    takes: dict[str, Any]


def made_service(name: str, seed: int, count: int) -> tuple[Service, list[Made]]:
    """Make a service, and say what can be called.

    Args:
        name: Its name.
        seed: What is made.
        count: How many operations it has.
    """
    chance = random.Random(seed)
    svc = ServiceBuilder(name)
    if chance.random() < 0.5:
        svc.exception_handler(OddError)(_odd)
    if chance.random() < 0.2:
        svc.exception_handler(Exception)(_last)
    if chance.random() < 0.3:
        svc.middleware("http")(_through)
    svc.get("/fine", name="fine")(_fine)
    turns = [*BEHAVIOURS]
    chance.shuffle(turns)
    return svc, [_made(svc, chance, f"op_{i}", turns[i % len(turns)]) for i in range(count)]


async def _fine() -> bool:
    return True


async def _odd(request: Request, error: Exception) -> JSONResponse:
    said = {"detail": str(error), "path": request.url.path, "named": {**request.path_params}, "by": request.method}
    return JSONResponse(said | {"body": (await request.body()).hex()}, 418)


def _last(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"{type(error).__name__} at {request.url.path}"}, 500)


async def _through(request: Request, then: Callable[..., Any]) -> Any:
    response = await then(request)
    response.headers["x-through"] = "yes"
    return response


def _made(svc: ServiceBuilder, chance: random.Random, name: str, behaviour: Behaviour) -> Made:
    method = chance.choice([*VERBS]) if behaviour.repeated else "POST"
    parameters = [*_parameters(chance, method)]
    result = behaviour.make(chance)
    options = dict(result.options)
    if chance.random() < 0.1:
        options["timeout"] = 5
    signature = [one.declared() for one in parameters]
    if all(one.where in ("path", "query") for one in parameters) and method == "GET" and not result.streams:
        options |= chance.choice([{}, {"cache": 60}])
    elif chance.random() < 0.2:
        signature.append(_depending(chance))
        parameters.append(Parameter("extra", "query", PLAIN[0], default=0))
    handler = _handler(chance, result.run, sync=result.sync)
    places = [
        f"{{{one.alias or one.name}{chance.choice(['', '', ':path'])}}}" for one in parameters if one.where == "path"
    ]
    path = "/".join([f"/{name}", *places])
    if chance.random() < 0.3:
        self_ = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        method_of = _as_method(handler)
        _dressed(method_of, name, [self_, *signature], result.returns)
        made = type(f"C_{name}", (), {name: VERBS[method](path, **options)(method_of)})
        svc.register_controller(Controller("/c", tags=["made"])(made))
    else:
        _dressed(handler, name, signature, result.returns)
        svc.endpoint(path, methods=[method], **options)(handler)
    sets = [*_argument_sets(chance, parameters, good=True)]
    bad = [*_argument_sets(chance, parameters, good=False)]
    takes = {one.name: one.kind.annotation for one in parameters} if behaviour.name == "seen" else {}
    said = ", ".join(f"{one.where} {one.name}: {one.kind.annotation}" for one in parameters)
    about = f"{method} {path} ({said}) -> {behaviour.name} {options} on {type(svc).__name__} {svc.name}"
    return Made(name, about, result.streams, sets + bad, len(sets), takes)


def _parameters(chance: random.Random, method: str) -> Iterator[Parameter]:
    alone = chance.random() < 0.2
    for i in range(chance.randrange(3)):
        yield Parameter(f"p{i}", "path", chance.choice(PLAIN), alias=chance.choice([None, f"ali{i}"]))
    if alone:
        where = chance.choice(["query", "query", "header", "cookie"])
        yield Parameter("fields", where, FIELDS[0] if where != "query" else chance.choice(FIELDS))
    else:
        for i in range(chance.randrange(3)):
            kind = chance.choice(LISTS) if chance.random() < 0.3 else chance.choice(PLAIN)
            yield _optional(
                chance, Parameter(f"q_{i}", "query", kind, alias=chance.choice([None, None, f"Q {i}&", f"é{i}"]))
            )
        for i in range(chance.choice([0, 0, 1])):
            kind = chance.choice([*PLAIN, LISTS[0], LISTS[1]])
            yield _optional(
                chance, Parameter(f"h_{i}", "header", kind, alias=chance.choice([None, None, f"X_Odd-{i}"]))
            )
        for i in range(chance.choice([0, 0, 1])):
            yield _optional(
                chance, Parameter(f"c_{i}", "cookie", chance.choice(PLAIN), alias=chance.choice([None, f"C-{i}"]))
            )
    if method != "GET" or chance.random() < 0.1:
        number = chance.choice([0, 1, 1, 2])
        for i in range(number):
            kind = chance.choice(MODELS) if chance.random() < 0.8 else chance.choice([*PLAIN, *LISTS])
            alias = chance.choice([None, f"B {i}"]) if number > 1 else None
            embed = number == 1 and chance.random() < 0.3
            yield _optional(chance, Parameter(f"b_{i}", "body", kind, alias=alias, embed=embed))


def _optional(chance: random.Random, parameter: Parameter) -> Parameter:
    drawn = chance.random()
    if drawn < 0.3:
        parameter.default = chance.choice(parameter.kind.good)
        parameter.factory = isinstance(parameter.default, list | set | dict) or chance.random() < 0.3
    elif drawn < 0.5:
        annotation: Any = Optional.__getitem__(parameter.kind.annotation)
        parameter.kind = Kind(annotation, parameter.kind.good, parameter.kind.bad, parameter.kind.plain)
        parameter.default = None
    return parameter


def _depending(chance: random.Random) -> inspect.Parameter:
    async def plain(extra: int = 0) -> int:
        if extra < 0:
            raise HTTPException(409, {"extra": extra})
        return extra

    async def ending(extra: int = 0) -> Any:
        if extra > 10:
            raise HTTPException(403)
        yield extra

    depends = Depends(chance.choice([plain, ending]))
    return inspect.Parameter("needed", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, depends])


def _handler(chance: random.Random, run: Callable[[dict[str, Any]], Any], *, sync: bool | None) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(run):

        async def streaming(**values: Any) -> Any:
            async with aclosing(run(values)) as items:
                async for item in items:
                    yield item

        return streaming
    if inspect.isgeneratorfunction(run):

        def stepping(**values: Any) -> Any:
            yield from run(values)

        return stepping

    async def waiting(**values: Any) -> Any:
        return run(values)

    def threaded(**values: Any) -> Any:
        return run(values)

    return threaded if sync is True or (sync is None and chance.random() < 0.2) else waiting


def _as_method(handler: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(handler):

        async def streaming(self: Any, **values: Any) -> Any:
            del self
            async with aclosing(handler(**values)) as items:
                async for item in items:
                    yield item

        return streaming
    if inspect.isgeneratorfunction(handler):

        def stepping(self: Any, **values: Any) -> Any:
            del self
            yield from handler(**values)

        return stepping
    if inspect.iscoroutinefunction(handler):

        async def waiting(self: Any, **values: Any) -> Any:
            del self
            return await handler(**values)

        return waiting

    def threaded(self: Any, **values: Any) -> Any:
        del self
        return handler(**values)

    return threaded


def _dressed(handler: Any, name: str, parameters: Sequence[inspect.Parameter], returns: Any) -> None:
    handler.__name__ = handler.__qualname__ = name
    handler.__signature__ = inspect.Signature(parameters, return_annotation=returns)
    handler.__annotations__ = {}


def _argument_sets(chance: random.Random, parameters: Sequence[Parameter], *, good: bool) -> Iterator[dict[str, Any]]:
    """Yield sets that fit; or else such of which one argument does not, or is missing, or is one too many."""
    for i in range(3):
        given = {}
        for one in parameters:
            if one.default is _NONE or chance.random() < 0.7:
                given[one.name] = chance.choice(one.kind.good)
        if not good and (parameters and i < 2):
            wrong = chance.choice(parameters)
            given[wrong.name] = chance.choice([*wrong.kind.bad, *chance.choice(KINDS).good])
        elif not good and given and chance.random() < 0.5:
            given.pop(chance.choice([*given]))
        elif not good:
            given["too_many"] = 1
        yield given
