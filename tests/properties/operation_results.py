"""Results: what generated operations do once they are called: all that a handler can return, raise or yield."""

import inspect
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from tests.properties.operation_values import FULL, INNER, KINDS, Big, Item, Kind, Small, told

from evox.errors import BackendUnavailable, InvalidKey, NotAuthenticated, ServiceUnavailable, ValueTooLarge

__all__ = ["BEHAVIOURS", "Behaviour", "OddError", "Result"]

EMPTY = inspect.Signature.empty
BIG = (
    Big(name="n"),
    Big(name="é", price=None, count=None, inner=INNER, theAlias=9),
    Big(name="x", secret="s", count=3),
)
DETAILS = ("gone", None, {"why": ["a", 1, None]}, ["x"], "ü", 5, "", {"detail": "inner"})
STATUSES = (
    200,
    201,
    202,
    203,
    204,
    205,
    206,
    301,
    304,
    307,
    400,
    401,
    403,
    404,
    405,
    409,
    410,
    411,
    413,
    415,
    418,
    422,
    429,
)


class OddError(Exception):
    """One that services may have a handler for."""


@dataclass
class Result:
    """What one operation does.

    Attributes:
        run: Is given what the handler was given.
        returns: The annotation.
        options: Those of its decorator.
        streams: Whether its answer is read part by part.
        sync: Whether it runs in a thread; None leaves that to chance.
    """

    run: Callable[[dict[str, Any]], Any]
    returns: Any = EMPTY
    options: Mapping[str, Any] = field(default_factory=dict)
    streams: bool = False
    sync: bool | None = None


@dataclass(frozen=True)
class Behaviour:
    """One way to behave.

    Attributes:
        name: Its name.
        make: Makes a result, each time another.
        repeated: Whether it may be called by a method that is tried again: it never says that it is unavailable.
    """

    name: str
    make: Callable[[random.Random], Result]
    repeated: bool = True


def _seen(_: random.Random) -> Result:
    return Result(lambda values: {name: told(value) for name, value in values.items()})


def _back(_: random.Random) -> Result:
    return Result(lambda values: next(iter(values.values()), None))


def _typed(chance: random.Random) -> Result:
    kind: Kind = chance.choice(KINDS)
    value = chance.choice([*kind.good, *kind.good, *kind.good, *kind.bad])
    if chance.random() < 0.5:
        return Result(lambda _: value, returns=kind.annotation)
    return Result(lambda _: value, options={"response_model": kind.annotation})


def _untyped(chance: random.Random) -> Result:
    value = chance.choice(chance.choice(KINDS).good)
    return Result(lambda _: value)


def _filtered(chance: random.Random) -> Result:
    value: Any = chance.choice(BIG)
    model: Any = chance.choice([Small, Big, Big, Big | None, Item])
    if model is Item:
        value = FULL
    if chance.random() < 0.3:
        value, model = [value], list[model]
    elif chance.random() < 0.2:
        value = value.model_dump(by_alias=True)
    given: dict[str, Any] = {"response_model": model}
    more: list[dict[str, Any]] = [
        {"response_model_exclude_none": True},
        {"response_model_exclude_unset": True},
        {"response_model_exclude_defaults": True},
        {"response_model_by_alias": False},
        {"response_model_include": {"name", "count"}},
        {"response_model_exclude": {"secret", "price"}},
    ]
    for option in chance.sample(more, chance.choice([0, 1, 1, 2])):
        given |= option
    return Result(lambda _: value, returns=chance.choice([EMPTY, Any]), options=given)


def _status(chance: random.Random) -> Result:
    status, body = chance.choice(STATUSES), chance.choice([*DETAILS, {"detail": "no"}, Small(name="s")])
    headers = chance.choice([None, {}, {"Retry-After": "7"}, {"X-A": "é", "content-type": "application/problem+json"}])
    value = (body, status) if headers is None else (body, status, headers)
    returns = chance.choice([EMPTY, EMPTY, Any, Small | tuple[Any, int]])
    return Result(lambda _: value, returns=returns)


def _unavailable(chance: random.Random) -> Result:
    status = chance.choice([500, 501, 502, 503, 504, 429, 408])
    return _raising(HTTPException(status, chance.choice(DETAILS), chance.choice([None, {"Retry-After": "3"}])))


def _refused(chance: random.Random) -> Result:
    status = chance.choice([one for one in STATUSES if one != 429])
    return _raising(
        HTTPException(status, chance.choice(DETAILS), chance.choice([None, {"X-A": "b", "Retry-After": "x"}]))
    )


def _raised(chance: random.Random) -> Result:
    errors = [
        OddError("odd"),
        ValueError("wrong"),
        StopIteration(1),
        KeyError("k"),
        RuntimeError(),
        TimeoutError(),
        OSError(5),
    ]
    errors += [OddError("ü")] * 3 + [ExceptionGroup("two", [ValueError("a"), OddError("b")])]
    return _raising(chance.choice(errors))


def _ours(chance: random.Random) -> Result:
    errors = [
        *(
            InvalidKey("k", "it is odd", fix="another"),
            ValueTooLarge("k", 5, 3),
            BackendUnavailable("memory", "it is gone"),
        ),
        *(NotAuthenticated("it"), ServiceUnavailable("it", "stopped")),
    ]
    return _raising(chance.choice(errors))


def _raising(error: Exception) -> Result:
    def run(_: dict[str, Any]) -> Any:
        raise error

    return Result(run)


def _response(chance: random.Random) -> Result:
    make: Callable[[], Response] = chance.choice(
        [
            lambda: PlainTextResponse("text: ü\n"),
            lambda: HTMLResponse("<p>ü</p>", 201),
            lambda: PlainTextResponse(b"\xff\xfe"),
            lambda: JSONResponse({"a": [1, None]}, 202, {"age": "5"}),
            lambda: JSONResponse({"detail": {"x": 1}}, 404),
            lambda: JSONResponse([1], 400),
            lambda: Response(b"\x00\xff", media_type="application/octet-stream"),
            lambda: Response(b"bare"),
            lambda: Response(status_code=204),
            lambda: Response(b"[1", media_type="application/json"),
            lambda: Response(b"", media_type="application/json"),
            lambda: Response(b'{"a": 1}', media_type="application/vnd.x+json"),
            lambda: Response(b"zipped", headers={"content-encoding": "gzip"}),
            lambda: Response(b"plain", headers={"content-encoding": "identity"}),
            lambda: RedirectResponse("/elsewhere"),
            lambda: StreamingResponse(iter([b"a", b"", b"b"]), media_type="text/plain"),
            lambda: StreamingResponse(_breaking(), media_type="text/plain"),
            lambda: PlainTextResponse("no", 409),
            lambda: Response(None, 304),
        ]
    )
    return Result(lambda _: make(), returns=chance.choice([EMPTY, Response]))


async def _breaking() -> AsyncIterator[bytes]:
    yield b"begun"
    raise OddError("in the middle")


def _declared(chance: random.Random) -> Result:
    status = chance.choice([201, 202, 204, 204, 206])
    classes = [JSONResponse, PlainTextResponse, HTMLResponse]
    if chance.random() < 0.4:
        return Result(lambda _: "text", options={"response_class": chance.choice(classes)})
    value = None if status == 204 else chance.choice([{"a": 1}, None, "s"])
    return Result(lambda _: value, returns=None if status == 204 else EMPTY, options={"status_code": status})


def _stream(chance: random.Random) -> Result:
    kind: Kind = chance.choice([one for one in KINDS if one.annotation is not None])
    items = [chance.choice(kind.good) for _ in range(chance.randrange(5))]
    shape = chance.choice(["jsonl", "jsonl", "sse", "raw"])
    if shape != "sse":
        items += chance.choice([(), (), kind.bad[:1]])
    breaks = shape != "sse" and chance.random() < 0.2  # how much of those comes before the break is not sure

    def steps(_: dict[str, Any]) -> Iterator[Any]:
        yield from items
        if breaks:
            raise OddError("in the middle")

    async def waits(_: dict[str, Any]) -> AsyncIterator[Any]:
        for item in items:
            yield item
        if breaks:
            raise OddError("in the middle")

    typed = chance.random() < 0.5
    if shape == "raw":
        items = [f"part {i}\n" for i in range(3)]
        return Result(chance.choice([steps, waits]), options={"response_class": StreamingResponse}, streams=True)
    options = {"response_class": EventSourceResponse} if shape == "sse" else {}
    if shape == "sse" and not typed:
        items += [
            ServerSentEvent(data={"a": 1}, event="e", id="1"),
            ServerSentEvent(raw_data="two\nlines"),
            Small(name="s"),
        ]
    if chance.random() < 0.5:
        return Result(steps, Iterator[kind.annotation] if typed else EMPTY, options, streams=True)  # type: ignore[name-defined]
    return Result(waits, AsyncIterator[kind.annotation] if typed else EMPTY, options, streams=True)  # type: ignore[name-defined]


BEHAVIOURS = (
    *[Behaviour("seen", _seen)] * 9,
    *[Behaviour("typed", _typed)] * 5,
    *[Behaviour("filtered", _filtered)] * 4,
    *[Behaviour("status", _status, repeated=False)] * 3,
    *[Behaviour("response", _response, repeated=False)] * 3,
    *[Behaviour("refused", _refused)] * 2,
    *[Behaviour("stream", _stream)] * 3,
    Behaviour("back", _back),
    Behaviour("untyped", _untyped),
    Behaviour("declared", _declared),
    Behaviour("raised", _raised),
    Behaviour("ours", _ours, repeated=False),
    Behaviour("unavailable", _unavailable, repeated=False),
)
