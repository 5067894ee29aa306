"""Schemas: all of a value is stored, secrets, excluded fields and NaN too; and types stay as they are."""

import enum
import sys
import typing
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, Secret, SecretBytes, SecretStr
from pydantic_core import SchemaSerializer
from typing_extensions import TypedDict

from evox.data import schemas
from evox.data.codecs import TypedCodec, codec_of
from evox.errors import UnserializableValue


class Account(BaseModel):
    id: str
    token: SecretStr
    pepper: SecretBytes = SecretBytes(b"")
    born: Secret[date] = Secret[date](date(2000, 1, 1))
    digest: str = Field(default="", exclude=True)
    rating: float | None = None
    anything: Any = None


class Accounts(BaseModel):
    first: Account
    others: dict[str, list[Account]] = Field(default={}, exclude=True)


@dataclass
class Counter:
    name: str
    count: int = field(init=False, default=0)
    hidden: Annotated[int, Field(exclude=True)] = 0


@dataclass(slots=True)
class Derived:
    base: int
    doubled: int = field(init=False)

    def __post_init__(self) -> None:
        self.doubled = self.base * 2


class Late(BaseModel):
    model_config = ConfigDict(defer_build=True)
    token: SecretStr
    next: "Late | None" = None


class Kept(TypedDict, total=False):
    token: SecretStr
    share: float


class Plain:
    def __init__(self, token: SecretStr, account: Account) -> None:
        self.token, self.account = token, account


def came_back(kind: Any, value: Any) -> Any:
    codec = codec_of(kind)
    return codec.decode(*codec.encode(value))


untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
FLOATS = st.none() | st.floats()
ACCOUNTS = st.builds(
    Account,
    id=st.text(),
    token=st.text().map(SecretStr),
    pepper=st.text().map(lambda text: SecretBytes(text.encode())),
    born=st.dates().map(Secret[date]),
    digest=st.text(),
    rating=FLOATS,
    anything=FLOATS | st.lists(FLOATS),
)


@untimed
@given(
    st.builds(Accounts, first=ACCOUNTS, others=st.dictionaries(st.text(), st.lists(ACCOUNTS, max_size=2), max_size=2))
)
def test_secrets_excluded_fields_and_nan_come_back_however_deep_they_are(value: Accounts) -> None:
    found = came_back(Accounts, value)
    assert repr(found) == repr(value)  # where NaN is like NaN
    assert found.first.token.get_secret_value() == value.first.token.get_secret_value()
    assert found.first.born == value.first.born


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SecretStr, SecretStr("s3cret")),
        (Secret[int], Secret[int](5)),
        (list[SecretStr | None], [SecretStr("s3cret"), None]),
        (dict[str, SecretBytes], {"a": SecretBytes(b"s3cret")}),
        (Late, Late(token=SecretStr("s3cret"), next=Late(token=SecretStr("other")))),
        (Kept, {"token": SecretStr("s3cret")}),
        (Derived, Derived(4)),
    ],
)
def test_a_type_that_leaves_something_out_for_others_is_stored_whole(kind: Any, value: Any) -> None:
    assert came_back(kind, value) == value


@untimed
@given(st.text(), st.integers(-(10**30), 10**30), st.integers())
def test_what_a_dataclass_sets_after_init_comes_back_as_it_was_set_last(name: str, count: int, hidden: int) -> None:
    value = Counter(name, hidden)
    value.count = count
    assert came_back(Counter, value) == value


def test_what_post_init_computes_must_be_what_is_held() -> None:
    value = Derived(4)
    value.doubled = 9
    with pytest.raises(UnserializableValue, match="doubled: it comes back changed"):
        codec_of(Derived).encode(value)


def test_a_plain_class_holds_secrets_and_models_that_hold_some() -> None:
    value = Plain(SecretStr("s3cret"), Account(id="1", token=SecretStr("other"), digest="d"))
    found = came_back(Plain, value)
    assert (found.token.get_secret_value(), found.account) == ("s3cret", value.account)


def test_the_type_itself_still_masks_and_leaves_out() -> None:
    value = Account(id="1", token=SecretStr("s3cret"), digest="d", rating=float("nan"))
    came_back(Account, value)
    assert b"s3cret" not in value.__pydantic_serializer__.to_json(value)
    assert value.model_dump(mode="json") == {
        "id": "1",
        "token": "**********",
        "pepper": "",
        "born": "**********",
        "rating": value.rating,
        "anything": None,
    }


Masked = Annotated[SecretStr, PlainSerializer(lambda _: "masked")]


def test_a_secret_that_a_type_masks_itself_is_refused_and_not_in_the_error() -> None:
    class Own(BaseModel):
        token: Masked

    with pytest.raises(UnserializableValue, match="token: it comes back changed") as caught:
        codec_of(Own).encode(Own(token=SecretStr("hunter2")))
    assert "hunter2" not in str(caught.value)


unchecked: Any = Account.model_construct


@pytest.mark.parametrize(
    "value",
    [
        unchecked(id=5, token="hunter2"),
        unchecked(id="1", token=SecretStr("hunter2"), born="hunter2"),
        {"id": 5, "token": "hunter2"},
        {"id": "1", "token": ["hunter2"]},
    ],
)
def test_what_is_refused_is_in_no_error_and_in_no_warning(value: Any) -> None:
    with pytest.raises(UnserializableValue) as caught:  # a warning would fail the test
        codec_of(Account).encode(value)
    assert "hunter2" not in str(caught.value)


def test_under_another_pydantic_what_it_would_lose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def older(schema: Any, config: Any) -> Any:
        return SchemaSerializer(schema, config)

    monkeypatch.setattr(schemas, "SchemaSerializer", older)
    codec = TypedCodec(Accounts)
    value = Accounts(first=Account(id="1", token=SecretStr("hunter2")))
    with pytest.raises(UnserializableValue, match="first") as caught:
        codec.encode(value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a typing.TypedDict says all that is asked from 3.12 on")
def test_a_typed_dict_of_typing_is_refused_by_the_name_of_the_one_to_take() -> None:
    old: Any = typing.TypedDict("old", {"a": int})
    for kind in (old, list[old]):
        with pytest.raises(UnserializableValue, match=r"TypedDict") as caught:
            codec_of(kind)
        assert "typing_extensions" in str(caught.value.fix)


class Unknown:
    pass


class OfUnknown(TypedDict):
    one: Unknown


@pytest.mark.parametrize("kind", [list[Unknown], OfUnknown, dict[str, "Unknown | None"]])
def test_a_type_that_holds_what_nobody_knows_is_refused_by_its_name(kind: Any) -> None:
    with pytest.raises(UnserializableValue, match="Unknown"):
        codec_of(kind)


class Level(enum.Enum):
    LOW = "low"


def test_a_default_that_looks_like_a_schema_stays_what_it_is() -> None:
    class Odd(BaseModel):
        shape: dict[str, Any] = {"type": "dataclass-field", "init": False, "serialization_exclude": True}
        level: Level = Level.LOW

    assert came_back(Odd, Odd()) == Odd()
