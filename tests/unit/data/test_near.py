"""Near: copies before a shared backend, never older than their ttl, never older than what is known here."""

import math
import tracemalloc
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from evox.data.backends.base import Change
from evox.data.entries import Entry
from evox.data.near import Near

pytestmark = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": MockClock(autojump_threshold=0)}), id="trio")]
)


def near(ttl: float = 5.0) -> Near:
    return Near(100, 10**6, ttl)


def put(it: Near, key: str, data: bytes, version: int, **more: Any) -> None:
    it.put(key, Entry(data, version=version), version, since=anyio.current_time(), **more)


async def test_D2_a_copy_is_used_for_its_ttl_counted_from_before_it_was_read() -> None:
    it = near()
    since = anyio.current_time()
    await anyio.sleep(2)
    it.put("a", Entry(b"1", version=1), 1, since=since)
    await anyio.sleep(2.9)
    assert it.look("a") == (True, Entry(b"1", version=1))
    await anyio.sleep(0.2)
    assert it.look("a") == (False, None)


async def test_that_there_is_nothing_is_known_too() -> None:
    it = near()
    it.put("a", None, 4, since=anyio.current_time())
    assert it.look("a") == (True, None)


async def test_the_entry_comes_back_with_its_own_times_and_tags() -> None:
    it = near()
    entry = Entry(b"1", "b", 1.0, 2.0, 3e9, False, ("t",), 7)
    it.put("a", entry, 7, since=anyio.current_time())
    assert it.look("a") == (True, entry)
    assert Entry(b"1").keep_until == math.inf


async def test_D2_an_older_state_never_replaces_a_newer_one() -> None:
    it = near()
    put(it, "a", b"new", 5)
    put(it, "a", b"old", 4)
    assert it.look("a")[1] == Entry(b"new", version=5)


async def test_D3_a_reported_change_takes_the_older_copy_and_leaves_the_newer() -> None:
    it = near()
    put(it, "a", b"1", 5)
    it.changed(Change(5, key="a"))
    assert it.look("a")[0]
    it.changed(Change(6, key="a"))
    assert it.look("a") == (False, None)


async def test_D3_a_change_of_a_tag_or_kind_takes_all_older_copies_under_it() -> None:
    it = near()
    now = anyio.current_time()
    it.put("s/t.A:a", Entry(b"1", tags=("s/tag:t",)), 5, since=now)
    it.put("s/t.A:b", Entry(b"1"), 5, since=now)
    it.put("s/t.AB:b", Entry(b"1"), 5, since=now)
    it.changed(Change(6, guard="s/tag:t"))
    assert [it.look(key)[0] for key in ("s/t.A:a", "s/t.A:b", "s/t.AB:b")] == [False, True, True]
    it.changed(Change(7, guard="s/in:t.A"))
    assert [it.look(key)[0] for key in ("s/t.A:b", "s/t.AB:b")] == [False, True]


async def test_D3_what_changed_while_a_key_was_read_is_known_at_its_end() -> None:
    it = near()
    watch = it.watch("a")
    it.changed(Change(9, key="a"))
    assert (watch.version, watch.changed) == (9, False)
    it.changed(Change(10, guard="s/tag:t"))
    assert watch.changed
    it.unwatch("a", watch)
    it.changed(Change(11, key="a"))
    assert watch.version == 9


async def test_D3_when_changes_are_not_reported_no_copy_is_used_and_then_all_are_new() -> None:
    it = near()
    put(it, "a", b"1", 1)
    it.off()
    assert it.look("a") == (False, None)
    assert not it.statistics().on
    watch = it.watch("b")
    it.on()
    assert watch.changed
    assert it.look("a") == (False, None)
    put(it, "a", b"2", 2)
    assert it.look("a")[0]


async def test_D5_an_old_copy_is_left_for_those_to_whom_it_is_better_than_none() -> None:
    it = near()
    put(it, "a", b"1", 1, keep=60.0)
    await anyio.sleep(30)
    assert it.look("a") == (False, None)
    assert it.left("a") == Entry(b"1", version=1)
    await anyio.sleep(31)
    assert it.left("a") is None


async def test_D2_an_own_write_is_seen_unless_something_newer_is_known() -> None:
    it = near()
    now = anyio.current_time()
    watch = it.watch("a")
    it.wrote("a", Entry(b"mine"), 5, watch, since=now)
    assert it.look("a")[1] == Entry(b"mine", version=5)
    it.changed(Change(8, key="a"))
    it.wrote("a", Entry(b"late"), 6, watch, since=now)
    assert it.look("a") == (False, None)
    watch.changed = True
    it.wrote("a", Entry(b"unsure"), 9, watch, since=now)
    assert it.look("a") == (False, None)
    assert it.statistics().hits == 1


async def test_D7_copies_take_no_more_memory_than_they_may() -> None:
    limit = 2_000_000
    it = Near(10**9, limit, 5.0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        for number in range(40_000):
            moment = 1e9 + number
            entry = Entry(b"x" * 50, "j", moment, moment + 60, moment + 120, True, (), 10**6 + number)
            it.put(f"key:{number}", entry, entry.version, since=anyio.current_time())
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1.3 * limit
