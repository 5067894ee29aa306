"""A SQLite file that another process has locked: nothing is written, all know in time, and stopping does not wait."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder, data_io, inject
from evox.errors import BackendUnavailable
from evox.testing import running

TIMEOUT = 0.4
SOON = 1.0  # seconds that anything may take longer on a machine that has much to do


def shop(file: Path, timeout: float = TIMEOUT) -> Any:
    settings = {"data": {"backend": f"sqlite:///{file}", "timeout": timeout}}
    return running(ServiceBuilder("shop"), settings=settings)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock that every write needs, on a connection of its own."""
    with locked_later(file) as lock:
        lock()
        yield


@contextmanager
def locked_later(file: Path) -> Iterator[Callable[[], object]]:
    """Yield what takes the lock; it is held to the end of the block."""
    other: list[sqlite3.Connection] = []

    def lock() -> None:
        other.append(sqlite3.connect(file, isolation_level=None))
        other[0].execute("BEGIN IMMEDIATE")

    try:
        yield lock
    finally:
        for one in other:
            one.close()


async def refused(number: int) -> float:
    """Write what cannot be written; return how long it took to be told."""
    begun = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"another process.* has locked it for more than"):
        await data_io.write(f"k{number}", number)
    return time.monotonic() - begun


async def test_of_many_writes_at_once_none_is_done_and_all_are_told_in_time(tmp_path: Path) -> None:
    # All but the first were said to have an unknown outcome, and each was tried again for as long as the first.
    file = tmp_path / "shop.db"
    async with shop(file):
        await data_io.write("a", 1)
        took: list[float] = []

        async def write(number: int) -> None:
            took.append(await refused(number))

        with locked(file):
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(write, number)
            assert await data_io.read("a") == 1
        assert min(took) >= TIMEOUT - 0.1
        assert max(took) < TIMEOUT + SOON
        assert [await data_io.read(f"k{number}") for number in range(10)] == [None] * 10
        await data_io.write("a", 2)
        assert await data_io.read("a") == 2


async def test_a_write_that_waits_behind_others_has_never_begun(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with shop(file):
        await data_io.write("a", 1)
        with locked(file):
            async with anyio.create_task_group() as group:
                group.start_soon(refused, 1)
                await anyio.sleep(TIMEOUT / 2)
                assert await refused(2) < TIMEOUT + SOON
        assert await data_io.read("k2") is None


async def test_a_write_that_was_given_up_is_not_done_when_the_lock_goes(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with shop(file, timeout=10):
        await data_io.write("a", 1)
        with locked(file):
            with anyio.move_on_after(0.1):
                await data_io.write("a", 2)
        await data_io.write("b", 1)
        assert await data_io.read("a") == 1


async def test_writes_wait_for_a_lock_that_goes_in_time(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with shop(file, timeout=10):
        await data_io.write("a", 1)
        async with anyio.create_task_group() as group:
            with locked(file):
                for number in range(10):
                    group.start_soon(data_io.write, f"k{number}", number)
                await anyio.sleep(0.2)
                assert await data_io.read("k1") is None
        assert [await data_io.read(f"k{number}") for number in range(10)] == list(range(10))


async def test_stopping_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    # It waited, shielded, until the thread had tried each of them for as long as they might have waited.
    file = tmp_path / "shop.db"
    with locked_later(file) as lock:
        async with shop(file, timeout=10):
            await data_io.write("a", 1)
            lock()
            with anyio.move_on_after(0.2):
                async with anyio.create_task_group() as group:
                    for number in range(10):
                        group.start_soon(data_io.write, f"k{number}", number)
            begun = time.monotonic()
    assert time.monotonic() - begun < SOON


async def test_statements_that_were_given_up_are_not_done_later_nor_waited_for(tmp_path: Path) -> None:
    # Each was left to the thread, which tried them one after the other, after the lock had gone and while stopping.
    file = tmp_path / "shop.db"
    with locked_later(file) as lock:
        async with shop(file, timeout=1):
            db = inject.db()
            await db.execute("CREATE TABLE stock (n INTEGER)")
            lock()
            for number in range(10):
                with anyio.move_on_after(0.02):
                    await db.execute("INSERT INTO stock VALUES (?)", number)
            begun = time.monotonic()
    assert time.monotonic() - begun < 1 + SOON
    with sqlite3.connect(file) as raw:
        assert raw.execute("SELECT count(*) FROM stock").fetchone()[0] <= 1
    raw.close()
