"""Data IO: every form of reading and writing, and what is refused; in memory, on both loops."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from evox import ServiceBuilder, data_intent, data_io
from evox.errors import (
    BackendUnavailable,
    CapacityExceeded,
    InvalidDeclaration,
    InvalidKey,
    OutsideRuntime,
    RecursiveLoader,
    UnserializableValue,
    ValueTooLarge,
)
from evox.testing import running

named = data_intent.define("io_profile", ttl="1h")


@data_intent.cacheable(ttl="1h", key="id")
class Product(BaseModel):
    id: str
    price: int


@dataclass
class Keyless:
    x: int


def shop(**data: Any) -> Any:
    return running(ServiceBuilder("shop"), settings={"data": data})


async def test_the_forms_of_writing_and_reading() -> None:
    async with shop():
        await data_io.write("plain", {"a": 1})
        await data_io.write(Product(id="x", price=0).__class__, Product(id="sofa", price=300))
        await data_io.write(Product, "other", Product(id="lamp", price=30))
        await data_io.write(named, "ada", {"name": "Ada"})
        await data_io.write("io_profile", "bob", {"name": "Bob"})
        await data_io.write(Keyless, "k", Keyless(1))
        assert await data_io.read("plain") == {"a": 1}
        assert await data_io.read(Product, "sofa") == Product(id="sofa", price=300)
        assert await data_io.read(Product, "other") == Product(id="lamp", price=30)
        assert await data_io.read(named, "bob") == await data_io.read("io_profile", "bob") == {"name": "Bob"}
        assert await data_io.read(Keyless, "k") == Keyless(1)


async def test_what_lives_under_one_key_without_a_type_with_one_and_by_name_are_three_values() -> None:
    async with shop():
        await data_io.write("a", 1)
        await data_io.write(Product, "a", Product(id="a", price=2))
        await data_io.write(named, "a", 3)
        assert await data_io.read("a") == 1
        assert await data_io.read(named, "a") == 3
        assert await data_io.delete(Product, "a")
        assert not await data_io.delete(Product, "a")
        assert (await data_io.read("a"), await data_io.read(Product, "a")) == (1, None)


async def test_two_services_do_not_see_each_others_data() -> None:
    async with shop():
        await data_io.write("a", 1)
    async with running(ServiceBuilder("other")):
        assert await data_io.read("a") is None


@pytest.mark.parametrize(
    "wrong",
    [
        data_io.read,
        lambda: data_io.read("a", "b", "c"),
        lambda: data_io.write("a"),
        lambda: data_io.write(Product, "a", 1, 2),
        data_io.delete,
        data_io.invalidate,
        lambda: data_io.invalidate("a", prefix="b"),
        lambda: data_io.invalidate(Product, "a", prefix="b"),
        lambda: data_io.invalidate("a", tag="b"),
    ],
)
async def test_a_form_that_does_not_exist_is_a_type_error_that_names_those_that_do(wrong: Any) -> None:
    async with shop():
        with pytest.raises(TypeError, match=r"write|stands alone"):
            await wrong()


@pytest.mark.parametrize("key", [1, "", "a" * 1025, "a\0b", None])
async def test_a_key_that_cannot_be_one_is_refused_everywhere(key: Any) -> None:
    async with shop():
        for operation in (
            data_io.read(key),
            data_io.read(Product, key),
            data_io.delete(Product, key),
            data_io.invalidate(Product, key),
            data_io.write(Product, key, Product(id="a", price=1)),
        ):
            with pytest.raises(InvalidKey):
                await operation


async def test_what_cannot_be_stored_changes_nothing() -> None:
    async with shop(value_bytes=1000, entries=2):
        await data_io.write("a", "old")
        await data_io.write(Product, Product(id="a", price=1))
        for value, error in ((object(), UnserializableValue), ("x" * 2000, ValueTooLarge)):
            with pytest.raises(error):
                await data_io.write("a", value)
        with pytest.raises(UnserializableValue):
            await data_io.write(Product, "a", {"id": "a", "price": "dear"})
        assert await data_io.read("a") == "old"
        assert await data_io.read(Product, "a") == Product(id="a", price=1)


async def test_records_are_refused_when_there_is_no_room_and_none_is_dropped() -> None:
    async with shop(entries=3):
        for number in range(3):
            await data_io.write(f"{number}", number)
        with pytest.raises(CapacityExceeded, match="raise memory_bytes or entries"):
            await data_io.write("3", 3)
        assert [await data_io.read(f"{number}") for number in range(4)] == [0, 1, 2, None]
        assert await data_io.delete("0")
        await data_io.write("3", 3)


async def test_two_types_of_one_name_are_refused() -> None:
    def made() -> type:
        @dataclass
        class Same:
            x: int

        return Same

    one, other = made(), made()
    async with shop():
        await data_io.write(one, "a", one(1))
        with pytest.raises(InvalidDeclaration, match="have the same name"):
            await data_io.write(other, "a", other(2))


async def test_a_name_that_nobody_defined_is_refused() -> None:
    async with shop():
        with pytest.raises(InvalidDeclaration, match="no intent has that name"):
            await data_io.read("io_nobody", "a")


async def test_a_value_without_its_key_says_how_to_give_one() -> None:
    async with shop():
        with pytest.raises(InvalidKey, match=r"write\(type, key, value\)|which field"):
            await data_io.write(Keyless, Keyless(1))


async def test_outside_a_service_there_is_no_data() -> None:
    with pytest.raises(OutsideRuntime, match=r"data_io.read"):
        await data_io.read("a")


async def load(key: str) -> dict[str, str]:
    return {"loaded": key}


async def test_a_loader_is_called_with_the_key_if_it_takes_one_async_or_not() -> None:
    async with shop():
        assert await data_io.read("a", loader=load) == {"loaded": "a"}
        assert await data_io.read("b", loader=lambda: 5) == 5
        assert await data_io.read("c", loader=lambda key: key * 2) == "cc"
        assert await data_io.read(Product, "d", loader=lambda key: Product(id=key, price=1)) == Product(id="d", price=1)
        assert await data_io.read("a") == {"loaded": "a"}


async def later(value: Any) -> Any:
    await anyio.lowlevel.checkpoint()
    return value


@pytest.mark.parametrize(
    ("loader", "loaded"),
    [
        (lambda: later("a"), "a"),
        (later, "k"),
        (lambda *keys: list(keys), ["k"]),
        (str, "k"),
        (lambda: b"null", b"null"),
    ],
    ids=["gives an awaitable", "gives one of its key", "any number of keys", "a builtin", "bytes that look like none"],
)
async def test_loaders_of_all_kinds(loader: Any, loaded: Any) -> None:
    async with shop():
        for _ in range(2):
            assert await data_io.read("k", loader=loader) == loaded


async def test_types_that_differ_in_what_they_hold_alone_are_two() -> None:
    maybe: Any = int | None
    async with shop():
        await data_io.write(list[int], "k", [1])
        await data_io.write(list[str], "k", ["a"])
        await data_io.write(maybe, "k", 5)
        assert await data_io.read(list[int], "k") == [1]
        assert await data_io.read(list[str], "k") == ["a"]
        assert await data_io.read(maybe, "k") == 5


@pytest.mark.parametrize("kind", [5, None, b"x", 1.5, ["a"], {"a": 1}, Product(id="x", price=1)], ids=repr)
async def test_what_is_no_type_is_refused(kind: Any) -> None:
    async with shop():
        with pytest.raises(InvalidDeclaration, match="neither a type nor"):
            await data_io.write(kind, "k")
        with pytest.raises(InvalidDeclaration, match="neither a type nor"):
            await data_io.read(kind, "k")


@pytest.mark.parametrize("ttl", [0, -1, "soon", "0s"])
async def test_a_ttl_that_is_none_is_refused(ttl: Any) -> None:
    async with shop():
        with pytest.raises(InvalidDeclaration, match="ttl"):
            await data_io.read("a", loader=load, ttl=ttl)
        with pytest.raises(InvalidDeclaration, match="ttl"):
            await data_io.write("a", 1, ttl=ttl)


@pytest.mark.parametrize("prefix", [5, "\ud800", "a\0", "a" * 1025])
async def test_a_prefix_that_no_key_can_begin_with_is_refused(prefix: Any) -> None:
    async with shop():
        with pytest.raises(InvalidKey):
            await data_io.invalidate(prefix=prefix)


async def test_a_tag_is_one_line() -> None:
    async with shop():
        with pytest.raises(InvalidKey, match="one line"):
            await data_io.write("a", 1, ttl=5, tags=["a\nb"])
        with pytest.raises(InvalidKey, match="one line"):
            await data_io.invalidate(tag="a\nb")
    with pytest.raises(InvalidDeclaration, match="one line"):
        data_intent.define("io_tagged", ttl=5, tags=["a\nb"])


async def test_a_loaders_error_is_the_readers_own_and_nothing_is_kept() -> None:
    async def broken() -> None:
        raise LookupError("no such row")

    async with shop():
        for _ in range(2):
            with pytest.raises(LookupError, match="no such row"):
                await data_io.read("a", loader=broken)
        assert await data_io.read("a", loader=load) == {"loaded": "a"}


async def test_nothing_loaded_is_asked_for_again_unless_it_is_to_be_remembered() -> None:
    calls: list[str] = []
    remembered = data_intent.define("io_negative", ttl="1h", negative_ttl="1h")

    def none(key: str) -> None:
        calls.append(key)

    async with shop():
        for _ in range(3):
            assert await data_io.read("a", loader=none) is None
            assert await data_io.read(remembered, "b", loader=none) is None
    assert (calls.count("a"), calls.count("b")) == (3, 1)


async def test_a_loader_that_reads_what_it_loads_is_refused() -> None:
    async def again(key: str) -> Any:
        return await data_io.read(key, loader=again)

    async with shop():
        with pytest.raises(RecursiveLoader):
            await data_io.read("a", loader=again)


async def test_D4_a_load_begun_before_a_write_does_not_undo_it() -> None:
    begun, go = anyio.Event(), anyio.Event()

    async def slow() -> str:
        begun.set()
        await go.wait()
        return "old"

    async with shop(), anyio.create_task_group() as group:

        async def reader() -> None:
            await data_io.read("a", loader=slow)

        group.start_soon(reader)
        await begun.wait()
        await data_io.write("a", "new")
        go.set()
        await anyio.wait_all_tasks_blocked()
        assert await data_io.read("a", loader=slow) == "new"


async def test_what_takes_long_to_load_is_kept_though_other_copies_come_and_go_meanwhile() -> None:
    """One version for all that was dropped made every load that was slower than others' stay in memory begin anew."""
    loads: list[str] = []

    async def slow(key: str) -> str:
        loads.append(key)
        for number in range(100):
            await data_io.write(f"passing:{key}:{number}", number, ttl="1h")
        return key

    async with shop(entries=40):
        kept = 0
        for number in range(20):
            for _ in range(2):
                assert await data_io.read(f"slow:{number}", loader=slow) == f"slow:{number}"
            kept += loads.count(f"slow:{number}") == 1
    assert kept >= 17  # a few may share a place with what was dropped


async def test_invalidation_takes_copies_by_key_prefix_type_and_tag_and_no_records() -> None:
    async with shop():
        await data_io.write("record", 1)
        for number in range(3):
            await data_io.write(f"copy:{number}", number, ttl="1h", tags=["even"] if number % 2 == 0 else [])
            await data_io.write(Product, Product(id=f"p{number}", price=number))
        assert await data_io.invalidate("record") == 0
        assert await data_io.invalidate("copy:1") == 1
        assert await data_io.invalidate(tag="even") == 2
        assert await data_io.invalidate(Product, "p0") == 1
        assert await data_io.invalidate(Product, prefix="p2") == 1
        assert await data_io.invalidate(Product) == 1
        assert await data_io.invalidate(prefix="") == 0
        assert await data_io.read("record") == 1


async def test_a_store_that_is_down_keeps_no_other_from_taking_its_copies_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: Any) -> None:
        raise BackendUnavailable("a store", "a test")

    intents = {"first": {"ttl": "1h"}, "second": {"ttl": "1h", "backend": f"sqlite:///{tmp_path}/second.db"}}
    async with running(ServiceBuilder("shop"), settings={"data": {"intents": intents}}, root=tmp_path) as env:
        for name in intents:
            await data_io.write(name, "a", 1, tags=["t"])
        first, _ = env.service("shop").data.stores.all()
        monkeypatch.setattr(first, "invalidate_tags", down)
        with pytest.raises(BackendUnavailable):
            await data_io.invalidate(tag="t")
        assert [await data_io.read(name, "a") for name in intents] == [1, None]
