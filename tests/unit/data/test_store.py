"""Store: what a process has written itself is what it reads, whatever became of the versions."""

import math
from typing import Any

import anyio
import pytest

from evox.data.backends.memory import MemoryBackend
from evox.data.entries import Entry
from evox.data.flights import Flights
from evox.data.near import Near
from evox.data.policy import Facts
from evox.data.store import Store


class Elsewhere:
    """A backend that other processes share; here it is memory that says so."""

    facts = Facts("valkey", shared=True)

    def __init__(self) -> None:
        self.memory = MemoryBackend(100, 10**6)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)

    def empty(self) -> None:
        """Lose everything, the count of changes too."""
        self.memory = MemoryBackend(100, 10**6)


async def test_D2_an_own_write_is_read_though_the_store_was_emptied_and_counts_anew() -> None:
    async with anyio.create_task_group() as group:
        backend: Any = Elsewhere()
        store = Store(backend, Near(100, 10**6, math.inf), Flights(group, "shop"))
        for data in (b"1", b"2", b"3"):
            await store.put("a", Entry(data), near=True)
            await store.put("b", Entry(data), near=True)
        backend.empty()
        await store.put("a", Entry(b"new"), near=True)
        expected: list[tuple[str, bytes | None]] = [("a", b"new"), ("b", None)]
        for key, wanted in expected:
            entry = (await store.get(key, near=True)).entry
            assert (None if entry is None else entry.data) == wanted


@pytest.mark.parametrize("late", [False, True])
async def test_D2_a_write_of_another_that_is_heard_of_meanwhile_is_no_new_count(late: bool) -> None:
    async with anyio.create_task_group() as group:
        near = Near(100, 10**6, math.inf)
        backend: Any = Elsewhere()
        store = Store(backend, near, Flights(group, "shop"))
        await store.put("other", Entry(b"kept"), near=True)
        put = backend.memory.put

        async def slow(key: str, entry: Entry) -> int:
            version: int = await put(key, entry)
            if late:
                near.put("another", Entry(b"2"), version + 1, since=anyio.current_time())
            return version

        backend.put = slow
        await store.put("a", Entry(b"mine"), near=True)
        assert near.look("other")[0]
