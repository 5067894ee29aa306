"""Data IO: what is given back is what was given, or it is refused and nothing has changed; on both loops."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import anyio
import pytest
from pydantic import AfterValidator, BaseModel, SecretStr

from evox import DataEvent, ServiceBuilder, data_intent, data_io
from evox.errors import InvalidDeclaration, UnserializableValue
from evox.testing import running

T = TypeVar("T")


@data_intent.cacheable(ttl="1h", key="id")
class Product(BaseModel):
    id: str
    price: int


class Offer(Product):
    until: str


class Conn(BaseModel):
    id: str
    token: SecretStr


class Colour(str, Enum):  # noqa: UP042  what many still write
    RED = "red"


class Shade(Enum):
    DARK = "dark"


def shop(**data: Any) -> Any:
    return running(ServiceBuilder("shop"), settings={"data": data})


async def test_that_nothing_was_loaded_stays_remembered_when_it_is_read_by_type_without_a_loader(caplog: Any) -> None:
    """The typed read took the remembered nothing for a copy that fits no more, and dropped it."""
    calls: list[str] = []
    remembered = data_intent.define("io_negative_typed", type=Product, ttl="1h", negative_ttl="1h")

    async with shop():
        for _ in range(2):
            assert await data_io.read(remembered, "b", loader=calls.append) is None
            assert await data_io.read(remembered, "b") is None
    assert (calls, caplog.records) == (["b"], [])


async def test_a_secret_comes_back_written_and_loaded_with_a_type_and_without() -> None:
    conn = Conn(id="a", token=SecretStr("s3cret"))
    async with shop():
        await data_io.write(Conn, "w", conn)
        found = [await data_io.read(Conn, "w"), await data_io.read(Conn, "l", loader=lambda: conn)]
        assert [one is not None and one.token.get_secret_value() for one in found] == ["s3cret", "s3cret"]
        await data_io.write("w", conn)
        assert await data_io.read("w") == {"id": "a", "token": "s3cret"}


async def test_a_value_that_would_come_back_as_another_is_refused_and_the_earlier_one_stays() -> None:
    async with shop():
        await data_io.write(Product, Product(id="a", price=1))
        with pytest.raises(UnserializableValue, match="Offer comes back as Product"):
            await data_io.write(Product, Offer(id="a", price=2, until="noon"))
        with pytest.raises(UnserializableValue, match="Offer comes back as Product"):
            await data_io.read(Product, "b", loader=lambda: Offer(id="b", price=2, until="noon"))
        assert await data_io.read(Product, "a") == Product(id="a", price=1)
        assert await data_io.read(Product, "b") is None


@pytest.mark.parametrize("member", [Colour.RED, Shade.DARK])
async def test_a_member_of_an_enum_is_the_key_of_its_value_in_every_form(member: Any) -> None:
    seen: list[DataEvent] = []
    async with shop():
        data_io.on("written")(seen.append)
        await data_io.write(member, 1, ttl=60, tags=[member])
        await data_io.write(Product, member, Product(id="a", price=1))
        assert await data_io.read(member) == await data_io.read(member.value) == 1
        assert await data_io.read(Product, member.value) == await data_io.read(Product, member)
        assert await data_io.invalidate(tag=member.value) == 1
        assert await data_io.read(member, loader=lambda key: [key]) == [member.value]
        assert await data_io.invalidate(member) == 1
        assert await data_io.delete(Product, member)
        await anyio.wait_all_tasks_blocked()
    assert {type(event.key) for event in seen} == {str}


@data_intent.cacheable(ttl="1h")
@dataclass
class Box(Generic[T]):
    content: T


async def test_a_generic_type_keeps_what_its_class_declares() -> None:
    async with running(ServiceBuilder("shop")):
        await data_io.write(Box[int], "a", Box(1))
        assert await data_io.invalidate(Box[int]) == 1


async def test_an_annotation_whose_name_differs_in_each_process_is_refused() -> None:
    """Its records were not found again after a restart."""
    amount = Annotated[int, AfterValidator(lambda value: value)]
    async with running(ServiceBuilder("shop")):
        with pytest.raises(InvalidDeclaration, match="the same in another process"):
            await data_io.write(amount, "a", 5)


@pytest.mark.parametrize("in_flight", [False, True])
async def test_a_copy_that_does_not_fit_any_more_is_loaded_anew(in_flight: bool) -> None:
    """The first read of each key after a deployment said that there is none."""

    class Old(BaseModel):
        id: str

    class New(BaseModel):
        id: str
        price: float

    eager: dict[str, Any] = {"eager": 0.5} if in_flight else {}
    for kind in (Old, New):
        data_intent.cacheable(ttl="1h", name="product", **eager)(kind)
    async with running(ServiceBuilder("shop")) as env:
        await data_io.write(Old, "a", Old(id="a"))
        data = env.service("shop").data
        data.homes._names.clear()  # as in a new life of the service
        assert await data_io.read(New, "a", loader=lambda: New(id="a", price=1)) == New(id="a", price=1)


@pytest.mark.parametrize("hour", [1, 2, 3])
async def test_a_time_in_the_hour_that_comes_twice_is_stored(hour: int) -> None:
    moment = datetime(2025, 10, 26, hour, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    async with running(ServiceBuilder("shop")):
        await data_io.write(datetime, "a", moment)
        found = await data_io.read(datetime, "a")
        assert found is not None
        assert found.astimezone(UTC) == moment.astimezone(UTC)
