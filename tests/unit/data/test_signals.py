"""Signals: who asked is told of each change of what it asked for, with values of its own; on both loops."""

import anyio
import pytest
from pydantic import BaseModel

from evox import DataEvent, ServiceBuilder, data_intent, data_io
from evox.errors import InvalidDeclaration
from evox.testing import running

named = data_intent.define("signals_profile", ttl="1h")


@data_intent.cacheable(ttl="1h", key="id")
class Product(BaseModel):
    id: str
    price: int


async def test_signals_tell_of_changes_and_carry_values_of_their_own() -> None:
    seen: list[DataEvent] = []
    told = anyio.Event()
    svc = ServiceBuilder("shop")

    async with running(svc):

        @data_io.on("written", Product)
        async def written(event: DataEvent) -> None:
            seen.append(event)

        @data_io.on("deleted")
        async def deleted(event: DataEvent) -> None:
            seen.append(event)

        @data_io.on("invalidated", named)
        async def invalidated(event: DataEvent) -> None:
            seen.append(event)
            await anyio.wait_all_tasks_blocked()
            told.set()

        product = Product(id="sofa", price=1)
        await data_io.write(Product, product)
        await data_io.write("other", 1)
        await data_io.delete("other")
        await data_io.invalidate(named, prefix="a")
        await data_io.invalidate(Product, "sofa")
        with anyio.fail_after(5):
            await told.wait()
    by_action = {event.action: event for event in seen}
    assert set(by_action) == {"written", "deleted", "invalidated"}
    assert by_action["written"].value == product
    assert by_action["written"].value is not product
    assert (by_action["deleted"].of, by_action["deleted"].key) == (None, "other")
    assert (by_action["invalidated"].of, by_action["invalidated"].prefix) == ("signals_profile", "a")


async def test_an_annotation_is_told_of_however_often_it_is_written_down() -> None:
    """They were compared by identity, and list[int] is another object each time."""
    told = anyio.Event()

    async def tell(event: DataEvent) -> None:
        told.set()

    async with running(ServiceBuilder("shop")):
        data_io.on("written", list[int])(tell)
        await data_io.write(list[str], "a", ["a"])
        await anyio.wait_all_tasks_blocked()
        assert not told.is_set()
        await data_io.write(list[int], "a", [1])
        with anyio.fail_after(5):
            await told.wait()


def test_an_action_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="'written'"):
        data_io.on("created")(print)  # type: ignore[arg-type]


async def test_that_nothing_was_there_to_be_deleted_is_not_told() -> None:
    seen: list[DataEvent] = []

    async with running(ServiceBuilder("shop")):
        data_io.on("deleted")(seen.append)
        assert not await data_io.delete("none")
        await data_io.write("some", 1)
        assert await data_io.delete("some")
        await anyio.wait_all_tasks_blocked()
    assert [event.key for event in seen] == ["some"]
