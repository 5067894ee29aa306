"""D6: values that differ anywhere have different states, secrets and hidden fields included."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretBytes, SecretStr
from pydantic_core import to_json

from evox.services.identity import state_of


class Colour(Enum):
    RED = 1
    BLUE = 2


class User(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str
    id: int = Field(0, exclude=True)
    token: SecretStr = SecretStr("")
    _tenant: str = PrivateAttr("")

    def of(self, tenant: str) -> "User":
        self._tenant = tenant
        return self


@dataclass
class Point:
    x: int
    hidden: str = field(default="", repr=False, compare=False)


class Slotted:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name


class Private:
    def __init__(self, name: str) -> None:
        self.__name = name


class Text(str):
    __slots__ = ()


class PrivatelySlotted:
    __slots__ = ("__name", "tenant")

    def __init__(self, name: str) -> None:
        self.__name, self.tenant = name, "acme"


def named(kind: type, content: Any, name: str) -> Any:
    """Return something of a kind that holds items or a text, with an attribute of its own."""
    made = type(f"Named{kind.__name__}", (kind,), {})(content)
    made.name = name
    return made


WITH_CONTENT = [
    (dict, {"a": 1}),
    (list, [1]),
    (tuple, (1,)),
    (frozenset, {1}),
    (bytes, b"a"),
    (str, "a"),
    (Decimal, "1"),
]


@pytest.mark.parametrize(
    ("alice", "bob"),
    [
        (SecretStr("a"), SecretStr("b")),
        (SecretBytes(b"a"), SecretBytes(b"b")),
        (User(name="x", id=1), User(name="x", id=2)),
        (User(name="x", token="a"), User(name="x", token="b")),
        (User(name="x").of("a"), User(name="x").of("b")),
        (User(name="x", more=1), User(name="x", more=2)),
        (Point(1, "a"), Point(1, "b")),
        (Slotted("a"), Slotted("b")),
        (Private("a"), Private("b")),
        (SimpleNamespace(id=1), SimpleNamespace(id=2)),
        ({"a": 1}, {"a": 2}),
        ({1: "a"}, {"1": "a"}),
        ({"a", "b"}, {"a", "c"}),
        ([1, 2], [2, 1]),
        (1, "1"),
        (True, 1.5),
        (None, ""),
        (b"a", "a"),
        (Colour.RED, Colour.BLUE),
        (UUID(int=1), UUID(int=2)),
        (Decimal("1.0"), Decimal("1.1")),
        (date(2026, 1, 1), date(2026, 1, 2)),
        (Text("a"), Text("b")),
        (Point(1), User(name="x")),
        ([User(name="x", id=1)], [User(name="x", id=2)]),
        (PrivatelySlotted("a"), PrivatelySlotted("b")),
        *((named(kind, content, "a"), named(kind, content, "b")) for kind, content in WITH_CONTENT),
        (("a",), "a"),
        (b"61", "61"),
    ],
)
def test_D6_what_differs_anywhere_differs_here(alice: Any, bob: Any) -> None:
    assert to_json(state_of(alice)) != to_json(state_of(bob))


@pytest.mark.parametrize(
    "make",
    [
        lambda: User(name="x", id=1).of("t"),
        lambda: Point(1, "a"),
        lambda: {"a": {1, 2}, "b": [None]},
        lambda: Slotted("a"),
        lambda: (1, 2),
    ],
)
def test_what_is_equal_is_equal_here(make: Any) -> None:
    assert to_json(state_of(make())) == to_json(state_of(make()))


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_a_mapping_means_nothing(found: dict[str, int]) -> None:
    assert state_of(dict(reversed(found.items()))) == state_of(found)


class Empty:
    pass


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize("value", [object(), Empty(), print, lambda: 1, pytest, int, circle(), iter([1])])
def test_D6_what_tells_nobody_from_anybody_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"tells nobody|no state|contains itself"):
        state_of(value)
