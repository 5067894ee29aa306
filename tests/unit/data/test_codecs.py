"""Codecs: values come back as they were, made anew; what would not is refused before anything is stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, SecretStr
from typing_extensions import TypedDict

from evox.data.codecs import BYTES, JSON, codec_of
from evox.errors import UnserializableValue

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
untyped = codec_of(None)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@untimed
@given(JSON_VALUES)
def test_a_json_value_comes_back_as_it_was(value: Any) -> None:
    form, data = untyped.encode(value)
    assert form == JSON
    assert untyped.decode(form, data) == value


@untimed
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


class Conn(BaseModel):
    token: SecretStr
    internal: str = Field(default="i", exclude=True)


CONN = {"token": "s", "internal": "i"}
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


def test_a_value_that_could_not_be_read_back_is_refused_before_it_is_stored() -> None:
    with pytest.raises(UnserializableValue, match="could not be read back"):
        codec_of(Renamed).encode(Renamed(userName="ada"))


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


def iter_of(*values: int) -> Iterator[int]:
    yield from values


class Base(BaseModel):
    id: str


class Derived(Base):
    extra: str = "x"


class DerivedPlain(Plain):
    pass


class Loose(BaseModel):
    anything: Any = None
    either: str | datetime | bytes = ""
    several: Sequence[int] = ()


class Listed(TypedDict):
    a: int


class Grown(Plain):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.roles: list[str] = []


def grown() -> Grown:
    made = Grown(1)
    made.roles.append("admin")
    return made


class Nothing(RootModel[int | None]):
    pass


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Base, Derived(id="1"), "Derived comes back as Base"),
        (list[Base], [Base(id="1"), Derived(id="2")], r"differ; 1: Derived comes back as Base"),
        (list[Base], (Derived(id="2"),), "0: Derived comes back as Base"),
        (Plain, DerivedPlain(1), "would come back as a Plain"),
        (Grown, grown(), "roles: it comes back with another length"),
        (Plain, Plain("3"), "number: str comes back as int"),  # type: ignore[arg-type]
        (Point, Point(1, 2, ["a"]), "names: list comes back as set"),  # type: ignore[arg-type]
        (Loose, Loose(anything={1}), "anything: set comes back as list"),
        (Loose, Loose(anything=Base(id="1")), "anything: Base comes back as dict"),
        (Loose, Loose(anything={1: "a"}), "anything.1: it comes back changed"),
        (Loose, Loose(either=ORDER.placed), "either: datetime comes back as str"),
        (Loose, Loose(several=(1, 2)), "several: tuple comes back as list"),
        (Listed, {"a": 1, "b": 2}, "key 'b' is not in the type"),
        (Nothing, Nothing(None), "null"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused_with_where_and_a_way_out(
    kind: Any, value: Any, why: str
) -> None:
    with pytest.raises(UnserializableValue, match=why) as caught:
        codec_of(kind).encode(value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        (Base, {"id": "1", "more": 2}, Base(id="1")),
        (list[Base], ({"id": "1"},), [Base(id="1")]),
        (int, "3", 3),
        (Point, {"x": "1"}, Point(1)),
        (Nothing, 5, Nothing(5)),
        (list[Colour], ["red"], [Colour.RED]),
    ],
)
def test_what_is_not_of_the_type_yet_becomes_one(kind: Any, value: Any, made: Any) -> None:
    assert codec_of(kind).decode(*codec_of(kind).encode(value)) == made


@pytest.mark.parametrize(
    "value",
    [{1: "a", "1": "b"}, [{"a": {True: 1, "true": 2}}], {None: 1, "None": 2}, {UUID(int=1): 1, str(UUID(int=1)): 2}],
)
def test_two_keys_that_become_one_text_are_refused(value: Any) -> None:
    with pytest.raises(UnserializableValue, match="two of its keys are one text"):
        untyped.encode(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({1: "a", False: "b", 2.5: "c", None: "d"}, {"1": "a", "false": "b", "2.5": "c", "None": "d"}),
        ((1, {2: (3,)}), [1, {"2": [3]}]),
        ({"at": ORDER.placed, "id": UUID(int=5)}, {"at": "2026-01-02T03:00:00Z", "id": str(UUID(int=5))}),
        ({"colour": Colour.RED, Colour.RED: 1}, {"colour": "red", "red": 1}),
        ([Point(1), Base(id="1")], [{"x": 1, "y": 0, "names": []}, {"id": "1"}]),
        (
            {"token": SecretStr("s3cret"), SecretStr("k"): [Conn(token=SecretStr("s"))]},
            {"token": "s3cret", "k": [CONN]},
        ),
        (SecretStr("s3cret"), "s3cret"),
    ],
)
def test_without_a_type_what_is_no_json_value_comes_back_as_one(value: Any, read: Any) -> None:
    assert untyped.decode(*untyped.encode(value)) == read


def test_nan_and_infinities_come_back_without_a_type() -> None:
    value = [float("nan"), float("inf"), {"a": -float("inf")}]
    assert repr(untyped.decode(*untyped.encode(value))) == repr(value)


@pytest.mark.parametrize("value", [10**5000, [-(10**5000)], iter_of(1), {"a": iter_of(1)}], ids=type)
def test_what_could_not_be_read_without_a_type_is_refused(value: Any) -> None:
    with pytest.raises(UnserializableValue):
        untyped.encode(value)


ORDERS = st.recursive(
    st.builds(
        Order,
        id=st.uuids(),
        total=st.decimals(allow_nan=False, allow_infinity=False),
        placed=st.datetimes(timezones=st.just(UTC)),
        colour=st.sampled_from(Colour),
    ),
    lambda inner: st.builds(
        lambda order, lines: order.model_copy(update={"lines": lines}), inner, st.lists(inner, max_size=2)
    ),
    max_leaves=4,
)
TYPED = st.one_of(
    st.tuples(st.just(Order), ORDERS),
    st.tuples(st.just(Point), st.builds(Point, st.integers(), st.integers(), st.sets(st.text()))),
    st.tuples(st.just(Plain), st.builds(Plain, st.integers(), st.text())),
    st.tuples(st.just(list[float]), st.lists(st.floats(allow_nan=False))),
    st.tuples(
        st.just(dict[int, tuple[bool, str]]), st.dictionaries(st.integers(), st.tuples(st.booleans(), st.text()))
    ),
    st.tuples(st.just(Loose), st.builds(Loose, anything=JSON_VALUES, either=st.text() | st.datetimes() | st.binary())),
)


@untimed
@given(TYPED)
def test_a_typed_value_comes_back_equal_or_is_refused(typed: tuple[Any, Any]) -> None:
    kind, value = typed
    try:
        written = codec_of(kind).encode(value)
    except UnserializableValue:
        assert kind is Loose
    else:
        assert codec_of(kind).decode(*written) == value


KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.floats()


@untimed
@given(st.dictionaries(KEYS, st.integers(), max_size=6))
def test_no_entry_of_a_mapping_is_lost_whatever_its_keys(value: dict[Any, int]) -> None:
    try:
        written = untyped.encode(value)
    except UnserializableValue:
        return
    read = untyped.decode(*written)
    assert sorted(read.values()) == sorted(value.values())
    assert all(isinstance(key, str) for key in read)
