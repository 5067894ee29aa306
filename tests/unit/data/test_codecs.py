"""Codecs: values come back as they were, made anew; what would not is refused before anything is stored."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from evox.data.codecs import BYTES, JSON, codec_of
from evox.errors import UnserializableValue

untyped = codec_of(None)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_a_json_value_comes_back_as_it_was(value: Any) -> None:
    form, data = untyped.encode(value)
    assert form == JSON
    assert untyped.decode(form, data) == value


@given(st.binary())
def test_bytes_stay_bytes(value: bytes) -> None:
    for given_ in (value, bytearray(value), memoryview(value)):
        form, data = untyped.encode(given_)
        assert form == BYTES
        assert untyped.decode(form, data) == value


def test_each_reader_gets_a_value_of_its_own() -> None:
    value = {"tags": ["a"]}
    form, data = untyped.encode(value)
    first, second = untyped.decode(form, data), untyped.decode(form, data)
    first["tags"].append("b")
    assert (second, value) == ({"tags": ["a"]}, {"tags": ["a"]})


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize("value", [object(), lambda: 1, circle(), {"a": object()}, "\ud800", open])
def test_what_json_cannot_hold_is_refused_with_a_way_out(value: Any) -> None:
    with pytest.raises(UnserializableValue) as caught:
        untyped.encode(value)
    assert "declare a type" in str(caught.value.fix)


class Colour(Enum):
    RED = "red"


class Order(BaseModel):
    id: UUID
    total: Decimal
    placed: datetime
    colour: Colour = Colour.RED
    lines: list["Order"] = Field(default=[], alias="orderLines")


@dataclass
class Point:
    x: int
    y: int = 0
    names: set[str] = field(default_factory=set)


class Plain:
    def __init__(self, number: int, name: str = "none") -> None:
        self.number, self.name = number, name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


ORDER = Order(id=UUID(int=5), total=Decimal("1.10"), placed=datetime(2026, 1, 2, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Order, ORDER),
        (Order, Order(id=UUID(int=6), total=Decimal(2), placed=ORDER.placed, orderLines=[ORDER])),
        (Point, Point(1, 2, {"a"})),
        (Plain, Plain(1, "Ada")),
        (list[Point], [Point(1), Point(2)]),
        (dict[str, int], {"a": 1}),
        (int, 3),
        (datetime, ORDER.placed),
    ],
)
def test_a_typed_value_comes_back_equal_and_of_its_type(kind: Any, value: Any) -> None:
    codec = codec_of(kind)
    form, data = codec.encode(value)
    found = codec.decode(form, data)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Order, {"id": "no"}), (Point, "p"), (Plain, Point(1)), (int, "three"), (list[Point], [1])],
)
def test_a_value_that_is_not_of_the_type_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(UnserializableValue, match="cannot be stored"):
        codec_of(kind).encode(value)


def test_a_secret_value_is_not_in_the_error_that_refuses_it() -> None:
    with pytest.raises(UnserializableValue) as caught:
        codec_of(Order).encode({"id": "hunter2"})
    assert "hunter2" not in str(caught.value)


class Bare:
    pass


class Unannotated:
    def __init__(self, number) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        self.number = number


class Starred:
    def __init__(self, *ids: int) -> None:
        self.ids = ids


@pytest.mark.parametrize(
    ("kind", "why"), [(Bare, "what it is made of"), (Unannotated, "has no annotation"), (Starred, r"takes \*ids")]
)
def test_a_class_of_which_nothing_is_known_is_refused(kind: type, why: str) -> None:
    with pytest.raises(UnserializableValue, match=why):
        codec_of(kind)


@pytest.mark.parametrize("data", [b"", b"{", b'{"x": "no"}', b"\xff"])
def test_bytes_that_do_not_fit_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec_of(Point).decode(JSON, data)


def test_plain_bytes_are_no_typed_value() -> None:
    with pytest.raises(ValueError, match="not stored as plain bytes"):
        codec_of(Point).decode(BYTES, b"{}")


class Renamed(BaseModel):
    user_name: str = Field(validation_alias="userName")


class Hidden(BaseModel):
    id: int
    internal: str = Field(exclude=True)


@pytest.mark.parametrize("value", [Renamed(userName="ada"), Hidden(id=1, internal="x")])
def test_a_value_that_could_not_be_read_back_is_refused_before_it_is_stored(value: Any) -> None:
    kind: Any = type(value)
    with pytest.raises(UnserializableValue, match="could not be read back"):
        codec_of(kind).encode(value)


def test_a_value_too_deep_to_be_read_is_refused_before_it_is_stored() -> None:
    value: list[Any] = []
    for _ in range(199):
        value = [value]
    form, data = untyped.encode(value)
    assert untyped.decode(form, data) == value
    for _ in range(20):
        value = [value]
    with pytest.raises(UnserializableValue):
        untyped.encode(value)
