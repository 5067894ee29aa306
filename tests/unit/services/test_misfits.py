"""Misfits: the answer to arguments that do not fit is FastAPI's, whatever is in it."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any, Self

import pytest
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from hypothesis import example, given, settings
from hypothesis import strategies as some
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from evox.services.misfits import refuse_arguments


class Colour(StrEnum):
    RED = "red"


class Labelled(str, Enum):  # noqa: UP042  a StrEnum has no other value than its text
    def __new__(cls, text: str, label: str) -> Self:
        made = str.__new__(cls, text)
        made._value_ = label
        return made

    A = ("a", "label")


class Number(IntEnum):
    ONE = 1


class Model(BaseModel):
    even: int = 2


@dataclass
class Point:
    x: float


plain = (
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.sampled_from(["_sa", '"_sa'])
)
keys = some.text() | some.sampled_from(["_sa", "_sa_instance_state", "a_sa"])
parsed = some.recursive(plain, lambda of: some.lists(of) | some.dictionaries(keys, of), max_leaves=12)
odd: Any = some.sampled_from(
    [
        Colour.RED,
        Labelled.A,
        Number.ONE,
        Model(),
        Point(1.5),
        Decimal("1.10"),
        PurePosixPath("/a"),
        dt.date(2026, 1, 2),
        {1, 2},
        (1, "a"),
        b"bytes",
        b"\xff",
        ValueError("it is odd"),
        {2: "a", None: 2, True: 3},
        float("nan"),
        "\ud800",
        object(),
    ]
)
errors = some.lists(
    some.fixed_dictionaries(
        {
            "type": some.text(),
            "loc": some.tuples(some.sampled_from(["body", "query"]), some.text() | some.integers()),
            "msg": some.text(),
            "input": parsed | odd,
        },
        optional={"ctx": some.dictionaries(some.text(max_size=5), parsed | odd, max_size=2)},
    ),
    max_size=3,
)


async def made(handler: Any, given: list[Any]) -> Any:
    try:
        response: Response = await handler(Request({"type": "http"}), RequestValidationError(given))
    except Exception as error:  # noqa: BLE001  the same has to come of both
        return type(error), str(error), type(error.__context__)
    return response.status_code, sorted(response.raw_headers), bytes(response.body)


def run(coroutine: Any) -> Any:
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    return done.value.value


@settings(max_examples=400, deadline=None)
@given(errors)
@example([])
@example([{"type": "a", "loc": ("body",), "msg": "b", "input": {"_sa": 1, "a": [{"_sab": None}]}}])
@example([{"type": "a", "loc": ("body",), "msg": "b", "input": {}, "ctx": {"error": ValueError("c")}}])
@example([{"type": "a", "loc": ("body",), "msg": "b", "input": {Labelled.A: Labelled.A}}])
def test_it_is_fastapis_byte_for_byte(given: list[Any]) -> None:
    assert run(made(refuse_arguments, given)) == run(made(request_validation_exception_handler, given))
