"""Types of compiled endpoints: what pydantic and FastAPI make of them goes beyond what proxies are tried with.

Each comes with values that fit and some that do not, as in ``operation_values``; ``text_of`` and ``json_of`` say how a
value stands in a request.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pydantic_core
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    Json,
    PlainSerializer,
    RootModel,
    SecretStr,
    Tag,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from tests.properties.operation_values import KINDS, LISTS, MODELS, PLAIN, Cat, Color, Dog, Filter, Item, Kind
from typing_extensions import TypedDict

__all__ = [
    "BODIES",
    "COOKIE_FIELDS",
    "HEADER_FIELDS",
    "QUERY_FIELDS",
    "RETURNED",
    "SCALARS",
    "SEVERAL",
    "json_of",
    "texts_of",
]

T = TypeVar("T")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, str_strip_whitespace=True)

    first_name: str = Field(max_length=8)
    born_on: date | None = None


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    a_b: int = 0
    why: str | None = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    a_b: int = 0


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    n: int
    at: datetime | None = None
    ratio: float = 1


class Written(BaseModel):
    """With all that changes how it is written."""

    model_config = ConfigDict(ser_json_timedelta="float", ser_json_bytes="base64", use_enum_values=True)

    took: timedelta = timedelta(seconds=1.5)
    raw: bytes = b"\x01"
    color: Color = Color.BLUE
    given: int = Field(default=1, validation_alias="in", serialization_alias="out")
    deep: str = Field(default="none", validation_alias=AliasChoices("flat", AliasPath("nest", 0, "x")))
    hidden: int = Field(default=0, exclude=True)
    secret: SecretStr = SecretStr("s")
    ratio: Annotated[Decimal, PlainSerializer(lambda value: f"~{value}", return_type=str)] = Decimal("0.1")
    any_: Any = None

    @computed_field(alias="sumOf")  # type: ignore[prop-decorator]
    @property
    def sum_of(self) -> int:
        return self.given + 1

    @field_serializer("given", when_used="json")
    def serialize_given(self, value: int) -> str:
        return f"<{value}>"


class Checked(BaseModel):
    """With validators that complain in every way there is."""

    name: str = "x"
    number: Annotated[int, BeforeValidator(lambda value: value * 1 if isinstance(value, int) else value)] = 1

    @field_validator("name")
    @classmethod
    def name_fits(cls, value: str) -> str:
        if value == "value":
            raise ValueError("no such name: é")
        assert value != "assert", "not this one"
        if value == "custom":
            raise PydanticCustomError("odd_name", "{name} is odd", {"name": value, "at": date(2026, 1, 2)})
        return value.upper()

    @model_validator(mode="after")
    def fits(self) -> "Checked":
        if self.number == 13:
            raise ValueError("thirteen")
        return self


class Wrapped(BaseModel):
    inner: int = 5

    @model_serializer(mode="wrap")
    def wrap(self, handler: Any) -> dict[str, Any]:
        return {"wrapped": handler(self)}


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_: str | None = Field(default=None, alias="next")


class Node(BaseModel):
    label: str = ""
    children: list["Node"] = []


class Names(RootModel[list[str]]):
    pass


class Row(TypedDict, total=False):
    id: int
    note: str | None


@dataclass
class Point:
    x: int
    y: float = 0.5
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Heading(BaseModel):
    user_agent: str = "nobody"
    x_tag: list[str] = []
    if_range: int | None = None


class ClosedQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(10, gt=0, le=100)
    order_by: Literal["id", "name"] = "id"
    tags: set[str] = set()
    from_: int | None = Field(default=None, alias="from")


class OpenQuery(BaseModel):
    model_config = ConfigDict(extra="allow")

    page: int = 1


def _is_even(value: int) -> int:
    if value % 2:
        raise ValueError("odd")
    return value


def _kind_of(value: Any) -> str | None:
    found = value.get("t") if isinstance(value, dict) else getattr(value, "t", None)
    return found if isinstance(found, str) else None


class Left(BaseModel):
    t: Literal["l"] = "l"
    n: int = 0


class Right(BaseModel):
    t: Literal["r"] = "r"
    s: str


SCALARS = (
    *PLAIN,
    Kind(Annotated[int, AfterValidator(_is_even)], (2, 0), (3, "x")),
    Kind(IPv4Address, ("127.0.0.1",), ("x", "::1")),
    Kind(HttpUrl, ("http://example.com/a?b=c", "https://é.example"), ("x", "ftp://a")),
    Kind(SecretStr, ("hidden",), ("",)),
    Kind(Annotated[Decimal, Field(max_digits=4, decimal_places=2)], (Decimal("12.34"),), ("1.234", "x")),
    Kind(Annotated[str, Field(strict=True, max_length=3)], ("abc", "é"), ("abcd",)),
    Kind(float | Literal["max"], (1.5, "max"), ("min",)),
    Kind(Level, (1, 2), (3, "LOW")),
)
SEVERAL = (
    *LISTS,
    Kind(frozenset[int], (frozenset({1, 2}),), (["x"],), plain=False),
    Kind(tuple[int, ...], ((1, 2, 3),), (["x"],), plain=False),
    Kind(Annotated[list[int], Field(min_length=2, max_length=3)], ([1, 2],), ([1], [1, 2, 3, 4]), plain=False),
    Kind(list[Annotated[str, Field(pattern="^a")]], (["a", "ab"],), (["b", "a"],), plain=False),
)
QUERY_FIELDS = (
    Kind(Filter, ({"text": "a b", "tags": ["x", "y"], "since": "2026-01-02"}, {}), ({"limit": 51},), fields=True),
    Kind(ClosedQuery, ({"limit": 5, "from": 2}, {}, {"tags": ["a", "a"]}), ({"limit": 0}, {"more": 1}), fields=True),
    Kind(OpenQuery, ({"page": 2}, {"other": "x"}, {"other": ["x", "y"]}), ({"page": "x"},), fields=True),
    Kind(Camel, ({"firstName": " ada "},), ({}, {"firstName": "x" * 9}, {"bornOn": "x"}), fields=True),
    Kind(ClosedQuery | None, ({"limit": 5}, {}), ({"limit": "x"}, {"more": 1}), fields=True),
)
HEADER_FIELDS = (
    Kind(Heading, ({"user-agent": "test", "x-tag": ["a", "b"]}, {}), ({"if-range": "x"},), fields=True),
    Kind(Heading, ({"user_agent": "kept", "x_tag": "a"},), ({"if_range": "x"},), fields=True),
)
COOKIE_FIELDS = (
    Kind(OpenQuery, ({"page": 2},), ({"page": "x"},), fields=True),
    Kind(ClosedQuery, ({"limit": 3},), ({"limit": "x"}, {"more": 1}), fields=True),
)
BODIES = (
    *MODELS,
    Kind(Camel, ({"firstName": " ada ", "bornOn": "2026-01-02"}, {"first_name": "x"}), ({"firstName": 5}, {})),
    Kind(Closed, ({}, {"a_b": "5"}), ({"more": 1, "a_b": "x"}, {"why": 5})),
    Kind(Open, ({"more": [1, {"x": None}]}, {}), ({"a_b": None},)),
    Kind(Strict, ({"n": 1, "at": "2026-01-02T03:04:05"},), ({"n": "1"}, {"n": 1.0}, {"n": True})),
    Kind(Written, ({}, {"in": 3, "nest": [{"x": "deep"}], "raw": "aGk="}, {"took": 5, "any_": [1.5]}), ({"raw": "!"},)),
    Kind(Checked, ({}, {"name": "ada"}), ({"name": "value"}, {"name": "assert"}, {"name": "custom"}, {"number": 13})),
    Kind(Wrapped, ({}, {"inner": 1}), ({"inner": "x"},)),
    Kind(Page[Item], ({"items": [{"name": "a"}], "next": "b"},), ({"items": [{}, {"name": 5}]},)),
    Kind(Page[int], ({"items": [1, "2"]},), ({"items": "x"}, {"items": ["x", "y"]})),
    Kind(Node, ({"children": [{"label": "a", "children": [{}]}]},), ({"children": [{"children": [{"label": 5}]}]},)),
    Kind(Names, (["a", "b"], []), ({}, [5])),
    Kind(Row, ({"id": 5, "note": None}, {}), ({"id": "x"}, [])),
    Kind(Point, ({"x": 1, "y": "2"}, {"x": 5, "tags": ["a"]}), ({}, {"x": "x"}, {"x": 1, "z": 2})),
    Kind(Pair, ([1, "a"],), (["x"], {"left": "x"})),
    Kind(list[Point], ([{"x": 1}],), ([{"x": None}],)),
    Kind(
        Annotated[Annotated[Left, Tag("l")] | Annotated[Right, Tag("r")], Discriminator(_kind_of)],
        ({"t": "l", "n": 2}, {"t": "r", "s": "x"}),
        ({"t": "r"}, {"t": "x"}, {}, []),
    ),
    Kind(list[Annotated[Cat | Dog, Field(discriminator="kind")]], ([{"kind": "cat", "lives": 9}],), ([{"kind": "x"}],)),
    Kind(dict[str, Left | Right], ({"a": {"t": "r", "s": "x"}, "b": {}},), ({"a": {"t": "r"}},)),
    Kind(Json[list[int]], ("[1, 2]",), ("[1,", [1])),
    Kind(dict, ({"a": [None]},), ([],)),  # bare: whatever is in it
    Kind(Camel | None, ({"firstName": "x"}, None), ({"firstName": []},)),
    Kind(int, (5, "5"), ("x", None)),
    Kind(str, ("text", ""), (5,)),
    Kind(float, (1.5, 2), ("x",)),
)
RETURNED = (*KINDS, *BODIES)


def text_of(value: Any) -> str:
    """Return a value as it stands in a path, a query, a header or a cookie."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(pydantic_core.to_jsonable_python(value))
    if isinstance(value, int) and abs(value) > 10**4000:
        return "9" * 5000  # more digits than Python writes
    return "" if value is None else str(value)


def texts_of(value: Any) -> list[str]:
    """Return the texts that a value is sent as: one, or one for each item."""
    many = isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)
    return [text_of(one) for one in value] if many else [text_of(value)]


def json_of(value: Any) -> bytes:
    """Return a value as JSON."""
    try:
        return pydantic_core.to_json(value, by_alias=True, inf_nan_mode="constants", fallback=repr)
    except (ValueError, pydantic_core.PydanticSerializationError):
        return b'"\xff"'  # not even a text
