"""Values: the types that generated operations take and return, each with values that fit it and some that do not.

``told`` says what a value is, so that two can be compared with their types, and written into an answer.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field

__all__ = ["FIELDS", "FULL", "INNER", "KINDS", "LISTS", "MODELS", "PLAIN", "Big", "Item", "Kind", "Small", "told"]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue & green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"
    NO = "no/never"


class Inner(BaseModel):
    at: datetime
    amounts: list[Decimal] = []
    color: Color = Color.RED


class Item(BaseModel):
    name: str
    price: Decimal | None = None
    count: int = Field(default=1, ge=0, le=100)
    inner: Inner | None = None
    tags: set[str] = set()
    raw: bytes = b""


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    user_id: int = Field(alias="userId")
    full_name: str = Field(default="nobody", alias="Full Name")
    children: list["Aliased"] = Field(default_factory=list, alias="kids")


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Filter(BaseModel):
    text: str = "all"
    limit: int = Field(default=10, le=50)
    tags: list[str] = []
    since: datetime | None = None


class Small(BaseModel):
    name: str
    price: Decimal | None = None


class Big(Small):
    secret: str = "hidden"
    count: int | None = 3
    inner: Inner | None = None
    alias: int = Field(default=4, alias="theAlias")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> int:
        return 2 * (self.count or 0)


@dataclass(frozen=True)
class Kind:
    """One type, and values of it.

    Attributes:
        annotation: The type.
        good: Values that fit.
        bad: Values that do not, or may not.
        plain: Whether a text can carry it.
        fields: Whether its fields are sent one by one, in a query or the like.
    """

    annotation: Any
    good: Sequence[Any]
    bad: Sequence[Any] = field(default=("nonsense",))
    plain: bool = True
    fields: bool = False


TEXTS = (
    *(
        "",
        " ",
        "a b",
        " lead",
        "trail ",
        "ünï",
        "日本",
        "%41",
        "%",
        "100%25",
        "a%2Fb",
        "a/b",
        '"quoted"',
        "it's",
        "a+b",
    ),
    *(
        "a=b&c=d",
        "#?",
        "?",
        "line\nfeed",
        "end\n",
        "\r\n",
        "nul\x00",
        "\x7f",
        "tab\tin",
        "\\",
        ";",
        "a,b",
        "{x}",
        "null",
    ),
    *(
        ".",
        "..",
        "a/../b",
        "//",
        "-1",
        "true",
        "~-._!$'()*:@",
        "🎉",
        "\u2028",
        "\xa0",
        "\xff",
        "café",
        "\ud800",
        "x" * 3000,
    ),
)
NOON = datetime(2026, 2, 28, 12, 0, 0, 123456, tzinfo=UTC)
INNER = Inner(at=NOON, amounts=[Decimal("1.10"), Decimal("-0")], color=Color.BLUE)
FULL = Item(name="tea", price=Decimal("12.50"), count=7, inner=INNER, tags={"a", "ü"}, raw=b"abc")
KID = Aliased(user_id=2, full_name="Kid")

PLAIN = (
    Kind(int, (0, -7, 10**30), ("x", True, 1.5, "", None, "1_0", " 1", 10**5000)),
    Kind(float, (0.0, -1.5, 1e300, float("inf"), 3), ("x", "", "1e999", float("nan"), None)),
    Kind(str, TEXTS, (5, None, b"bytes", 1.5, b"\xff")),
    Kind(bool, (True, False, "on", 0), ("maybe", 2, None)),
    Kind(bytes, (b"", b"abc", "ünï".encode()), (b"\xff\xfe", None, 5)),
    Kind(datetime, (NOON, NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=-3, minutes=-30))))),
    Kind(date, (date(2026, 2, 28), date.max), ("2026-02-30", NOON)),
    Kind(time, (time(1, 2, 3, 4), time(23, 59, tzinfo=UTC)), ("25:00", 5)),
    Kind(timedelta, (timedelta(days=3, seconds=5), timedelta(microseconds=-1), timedelta(0)), ("soon",)),
    Kind(UUID, (UUID(int=5), str(UUID(int=2**100))), ("xyz", 5)),
    Kind(Decimal, (Decimal("1.10"), Decimal("1E+5"), Decimal(0), 5), ("x", Decimal("NaN"), Decimal("Infinity"))),
    Kind(Color, (Color.RED, Color.BLUE, "red"), ("green", Level.LOW)),
    Kind(Level, (Level.LOW, Level.HIGH, 2), (3, "LOW")),
    Kind(Word, (Word.YES, Word.NO), ("maybe",)),
    Kind(Literal["a", "b c"], ("a", "b c"), ("c", "")),
    Kind(Annotated[int, Field(ge=0, le=10)], (0, 10), (-1, 11, "ten")),
    Kind(
        Annotated[str, Field(min_length=2, max_length=4, pattern="^[a-z]+$")], ("ab", "abcd"), ("a", "abcde", "AB", "é")
    ),
    Kind(int | str, (5, "five"), (1.5, b"x")),
    Kind(int | None, (5,), ("x", "", None)),
)
LISTS = (
    Kind(list[int], ([1, 2], [5]), ([], ["x", 1], "5", 5, None, [None], [[1]]), plain=False),
    Kind(set[str], ({"a", "b c"}, {"é"}), (set(), [1], "a"), plain=False),
    Kind(tuple[int, str], ((1, "a"),), ((1,), ("x", "y"), ()), plain=False),
    Kind(Sequence[Color], ([Color.RED, Color.BLUE],), ("red", [], ["green"]), plain=False),
    Kind(list[datetime] | None, ([NOON], None), ([], ["x"]), plain=False),
    Kind(list[int] | str, ([1], "a"), ([],), plain=False),
)
MODELS = (
    Kind(
        Item,
        (FULL, Item(name=""), {"name": "x", "count": "5"}),
        ({}, {"name": 5}, {"name": "x", "count": -1}, None, [], 5),
    ),
    Kind(
        Aliased, (Aliased(user_id=1, children=[KID]), {"userId": 4}, {"user_id": 4}), ({"userId": "x"}, "text", b"{}")
    ),
    Kind(
        Cat | Dog,
        (Cat(lives=9), Dog(kind="dog", name="Rex"), {"kind": "cat", "lives": 1}),
        ({"kind": "cow"}, {"name": 1}),
    ),
    Kind(
        Annotated[Cat | Dog, Field(discriminator="kind")],
        (Cat(kind="cat", lives=9), Dog(kind="dog", name="Rex")),
        (Cat(lives=9), {"kind": "cow"}, {}),
    ),
    Kind(Item | None, (FULL, None, Item(name="n", tags={"x"})), ({"name": []},)),
    Kind(list[Item], ([FULL, Item(name="b")], []), ([{}], {"a": 1}, FULL)),
    Kind(dict[str, int], ({"a": 1, "é": 2}, {}), ({"a": "x"}, {1: 1}, [1])),
    Kind(dict[int, Inner], ({1: INNER, -2: {"at": "2026-01-01"}},), ({"x": INNER}, {1: None})),
    Kind(dict[date, list[Decimal]], ({date(2026, 1, 2): [Decimal("1.5")]},), ({"x": []},)),
    Kind(dict[UUID, Color], ({UUID(int=1): Color.RED},), ({UUID(int=1): "green"},)),
    Kind(tuple[int, Color, str | None], ((1, Color.BLUE, None),), ((1,), (1, "x", None))),
    Kind(list[tuple[float, bytes]], ([(1.5, b"x")],), ([(1.5, b"\xff")], [(1, 2, 3)])),
    Kind(frozenset[int], (frozenset({1, 2}), {3}), ([1, "x"],)),
    Kind(
        Any, (None, 5, "text", [1, {"a": None}], {"a": 1.5}, FULL, NOON, b"raw", float("nan")), (object(), {1, 2}, 1j)
    ),
    Kind(dict[str, Any], ({"a": FULL, "b": [NOON]}, {"nested": {"x": {1: 2}}}), (5, 10**4000)),
    Kind(bytes, (b"abc", b"", b"\xff\x00"), (5, "text")),
    Kind(None, (None,), (5, "x")),
)
KINDS = (*PLAIN, *LISTS, *MODELS)
FILTER = Kind(
    Filter,
    (Filter(), Filter(text="a b", tags=["x", "y z"], since=NOON), Filter(limit=50), {"limit": 3, "tags": ["a"]}),
    (Filter.model_construct(limit=51), {"limit": "x"}, {"limit": 5, "more": 1}, "text", None, 5),
    plain=False,
    fields=True,
)
FIELDS = (FILTER, Kind(Filter | None, (*FILTER.good, None), FILTER.bad, plain=False, fields=True))


def told(value: Any) -> Any:
    """Return what a value is, and of which type, as JSON can say it."""
    name = type(value).__name__
    if isinstance(value, BaseModel):
        fields = {key: told(item) for key, item in sorted(value.__dict__.items())}
        return [name, sorted(value.model_fields_set), fields, told(value.__pydantic_extra__)]
    if isinstance(value, enum.Enum):
        return [name, value.name]
    if isinstance(value, list | tuple):
        return [name, [told(one) for one in value]]
    if isinstance(value, set | frozenset):
        return [name, sorted((told(one) for one in value), key=str)]
    if isinstance(value, dict):
        return [name, [[told(key), told(item)] for key, item in value.items()]]
    if isinstance(value, datetime | date | time):
        return [name, value.isoformat()]
    if isinstance(value, bytes):
        return [name, value.hex()]
    if isinstance(value, str):
        return [name, ascii(value)]
    if isinstance(value, int):
        return [name, hex(value)]
    return [name, repr(value)]
