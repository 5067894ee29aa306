"""Keys: what may be one, and that no two kinds of data ever meet under one."""

from dataclasses import dataclass
from datetime import date
from enum import Enum, IntEnum, StrEnum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from evox.data import keys
from evox.errors import InvalidKey


@pytest.mark.parametrize("key", ["a", "user:1", " ", "ü" * 512, "a" * 1024, "\n", "a/b:c", "*?[", "😀"])
def test_a_text_up_to_1_KiB_is_a_key_as_it_is(key: str) -> None:
    assert keys.check(key) == key


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (1, "it is int"),
        (None, "it is NoneType"),
        (b"a", "it is bytes"),
        (("a",), "it is tuple"),
        ("", "it is empty"),
        ("a" * 1025, "1025 bytes, and 1024 are allowed"),
        ("ü" * 513, "1026 bytes"),
        ("a\0b", "zero character"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_what_cannot_be_a_key_is_refused_with_the_reason_and_a_way_out(key: Any, why: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        keys.check(key)
    assert why in str(caught.value)
    assert caught.value.fix
    assert len(caught.value.what) < 80  # the key is not printed in full


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()


def test_a_key_of_a_subclass_of_str_becomes_plain_text() -> None:
    checked = keys.check(Text("a"))
    assert (checked, type(checked)) == ("a", str)


class Colour(str, Enum):  # noqa: UP042  what many still write
    RED = "red"


class Size(StrEnum):
    LARGE = "large"


class Level(IntEnum):
    LOW = 1


class Shape(Enum):
    ROUND = "round"
    SIDES = 4
    RATIO = 0.5


MEMBERS = [(Colour.RED, "red"), (Size.LARGE, "large"), (Level.LOW, "1"), (Shape.ROUND, "round"), (Shape.SIDES, "4")]


@pytest.mark.parametrize(("member", "key"), MEMBERS)
def test_a_member_of_an_enum_is_the_key_that_its_value_is_wherever_it_stands(member: Any, key: str) -> None:
    for checked in (keys.check(member), keys.check_tag(member), keys.key_of({"id": member}, "id")):
        assert (checked, type(checked)) == (key, str)
    assert keys.tag_guard("shop", member) == keys.tag_guard("shop", key)
    assert keys.kind_of(member) == keys.kind_of(key)


def test_a_member_of_an_enum_without_a_text_or_number_is_no_key() -> None:
    with pytest.raises(InvalidKey, match="it is float"):
        keys.check(Shape.RATIO)


@dataclass
class User:
    id: Any


@pytest.mark.parametrize(
    ("found", "key"),
    [
        ("ada", "ada"),
        (7, "7"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_the_key_field_of_an_object_or_mapping_is_its_key(found: Any, key: str) -> None:
    assert keys.key_of(User(found), "id") == key
    assert keys.key_of({"id": found}, "id") == key


@pytest.mark.parametrize("value", [User(None), {}, SimpleNamespace(), User(True), User(1.5), User("")])
def test_a_value_without_a_key_in_its_field_is_refused(value: Any) -> None:
    with pytest.raises(InvalidKey):
        keys.key_of(value, "id")


def test_places_of_services_and_kinds_are_apart() -> None:
    places = {keys.place(service, kind) for service in ("a", "b") for kind in (keys.UNTYPED, keys.ANSWERS, "t.User")}
    assert len(places) == 6
    assert keys.kind_of("d") != keys.UNTYPED
    assert keys.kind_of("h") != keys.ANSWERS
