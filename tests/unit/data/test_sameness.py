"""Sameness: a difference is found wherever it is, whatever classes call equal, and no value is shown."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from evox.data.sameness import difference, left_out, state_difference

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
    ),
    max_leaves=10,
)


class Entity(BaseModel):
    """Equal by its id alone, as entities are."""

    id: int
    name: str = ""
    _seen: int = PrivateAttr(default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def shout(self) -> str:
        return self.name.upper()


class Derived(Entity):
    pass


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclass
class Point:
    x: int
    note: str = field(default="", compare=False)


class Pair(NamedTuple):
    one: Any
    two: Any


class Silent:
    """Compares by identity, as most classes do."""

    def __init__(self, number: int) -> None:
        self.number = number


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Array:
    """Compares item by item, as arrays do."""

    def __init__(self, *items: int) -> None:
        self.items = items

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def iter_of(*values: int) -> Iterator[int]:
    yield from values


def again(value: Any) -> Any:
    """Make a value anew, so that nothing is the same object."""
    if isinstance(value, dict):
        return {key: again(one) for key, one in value.items()}
    if isinstance(value, list | tuple | deque):
        return type(value)(again(one) for one in value)
    return float(str(value)) if isinstance(value, float) else value


@untimed
@given(VALUES)
def test_a_value_made_anew_is_the_same(value: Any) -> None:
    assert difference(value, again(value)) is None


@untimed
@given(VALUES, VALUES)
def test_what_is_not_equal_differs(one: Any, other: Any) -> None:
    if difference(one, other) is None:
        assert one == other or "nan" in repr(one)


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        (Entity(id=1, name="a"), Entity(id=1, name="b"), ".name: "),
        (Entity(id=1), Derived(id=1), ": Entity comes back as Derived"),
        ({"a": [Entity(id=1, name="a")]}, {"a": [Entity(id=1, name="b")]}, ".a.0.name: "),
        ({Entity(id=1, name="a")}, {Entity(id=1, name="b")}, ".name: "),
        ({1, 2}, {1, 3}, ": "),
        (Open(a=1), Open(a=2), ".a: "),
        (Open(a=1), Open(), ": "),
        (Entity.model_construct(id=1), Entity(id=1, name="b"), ".name: "),
        (Point(1, "a"), Point(1, "b"), ".note: "),
        (Pair(1, 2), Pair(1, 3), ".1: "),
        ([1], [1, 2], ": it comes back with another length"),
        ({"a": 1}, {"b": 1}, ".a: "),
        ({"a": 1}, {}, ": it comes back with another number of keys"),
        ((1,), [1], ": tuple comes back as list"),
        ("1", 1, ": str comes back as int"),
        (Silent(1), Silent(2), ": "),
        (Slotted(1), Slotted(2), ": "),
        (Array(1), Array(2), ": "),
        (Array(1), [1], ": "),
        (iter_of(1), iter_of(1), ": "),
    ],
)
def test_a_difference_is_found_where_it_is(one: Any, other: Any, where: str) -> None:
    found = difference(one, other)
    assert found is not None
    assert found.startswith(where)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (float("nan"), float("nan")),
        (Decimal("nan"), Decimal("nan")),
        (Decimal("sNaN"), Decimal("sNaN")),
        ([float("nan")], [float("nan")]),
        (1, 1.0),
        (OrderedDict(a=1), {"a": 1}),
        (Silent(1), Silent(1)),
        (Slotted(1), Slotted(1)),
        (Array(1), Array(1)),
        (Pair(1, float("nan")), Pair(1, float("nan"))),
        ({Entity(id=1, name="a")}, frozenset({Entity(id=1, name="a")})),
    ],
)
def test_what_holds_the_same_is_the_same(one: Any, other: Any) -> None:
    assert difference(one, other) is None


def test_private_and_cached_attributes_are_no_part_of_a_model() -> None:
    one, other = Entity(id=1, name="a"), Entity(id=1, name="a")
    one._seen = 5
    assert one.shout == "A"
    assert difference(one, other) is None


def test_public_attributes_are_part_of_an_object_of_a_plain_class_and_private_ones_are_not() -> None:
    one, other = Silent(1), Silent(1)
    one._cache = 5  # type: ignore[attr-defined]
    assert state_difference(one, other, ["number"]) is None
    one.more = 5  # type: ignore[attr-defined]
    assert state_difference(one, other, ["number"]) == ".more: it is lost"


@untimed
@given(st.text(min_size=12), st.text(min_size=12))
def test_no_value_is_in_the_answer(one: str, other: str) -> None:
    found = difference({"a": [one]}, {"a": [other]})
    assert found in (None, ".a.0: it comes back changed")


def test_a_mapping_that_lost_a_key_when_another_was_made_of_it_is_found() -> None:
    assert left_out({"a": "1"}, {"a": 1}) is None
    assert left_out({"1": 2}, {1: 2}) is None
    assert left_out([{"a": {"b": 1, "c": 2}}], [{"a": {"b": 1}}]) == ": key 'c' is not in the type"
    assert left_out({"a": 1}, Entity(id=1)) is None
