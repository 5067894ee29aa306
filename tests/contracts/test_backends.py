"""D10: what every backend must do, on both loops."""

import math
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contracts.backends import KINDS, entry, opened

from evox.data.backends.base import Lease
from evox.data.entries import Entry

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def test_D10_what_was_put_is_read_as_it_was(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        put = Entry(b"\x00\xff{}", "b", 1.5, math.inf, math.inf, evictable=True, tags=("s/tag:a", "s/tag:b"))
        version = await backend.put("s/d:k", put)
        read = (await backend.get("s/d:k")).entry
        assert read == Entry(b"\x00\xff{}", "b", 1.5, math.inf, math.inf, True, ("s/tag:a", "s/tag:b"), version)


async def test_D10_a_key_that_was_never_written_holds_nothing(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        assert (await backend.get("s/d:none")).entry is None


@pytest.mark.parametrize("key", ["s/d:a:b/c", "s/d:ünï", "s/d:\n\t'\"%_\\", "s/d:" + "x" * 1000, "s/d:*[a]?", "s/d:🐍"])
async def test_D10_every_key_is_kept_apart_from_every_other(kind: str, tmp_path: Path, key: str) -> None:
    async with opened(kind, tmp_path) as backend:
        await backend.put(key, entry(b"mine", backend=backend))
        await backend.put(key + "x", entry(b"other", backend=backend))
        found = (await backend.get(key)).entry
        assert found is not None
        assert found.data == b"mine"


async def test_D10_versions_grow_with_each_change_of_the_store(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        versions = [
            await backend.put("s/d:a", entry(backend=backend)),
            await backend.put("s/d:b", entry(backend=backend)),
        ]
        versions.append((await backend.delete("s/d:a")).version)
        versions.append(await backend.put("s/d:a", entry(backend=backend)))
        assert versions == sorted(set(versions))


async def test_D10_the_last_of_two_writes_stands(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        await backend.put("s/d:a", entry(b"1", backend=backend, copy=True, tags=("s/tag:old",)))
        await backend.put("s/d:a", entry(b"2", backend=backend, copy=True))
        assert (await backend.invalidate_tags(["s/tag:old"])).number == 0
        found = (await backend.get("s/d:a")).entry
        assert found is not None
        assert (found.data, found.tags) == (b"2", ())


async def test_D10_what_expired_is_gone_and_not_counted(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        await backend.put("s/d:a", entry(backend=backend, keep=-1, copy=True))
        assert (await backend.get("s/d:a")).entry is None
        assert (await backend.delete("s/d:a")).number == 0


async def test_D10_deleting_says_whether_there_was_something(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        await backend.put("s/d:a", entry(backend=backend))
        assert [(await backend.delete("s/d:a")).number, (await backend.delete("s/d:a")).number] == [1, 0]


async def test_D7_invalidation_takes_copies_and_leaves_records(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        for number, copy in enumerate((True, False)):
            await backend.put(f"s/d:{number}", entry(backend=backend, copy=copy, tags=("s/tag:t",)))
        assert (await backend.invalidate("s/d:1")).number == 0
        assert (await backend.invalidate_prefix("s/d:1", "s/in:d")).number == 0
        assert (await backend.invalidate_tags(["s/tag:t"])).number == 1
        left = [(await backend.get(f"s/d:{number}")).entry is not None for number in (0, 1)]
        assert left == [False, True]


async def test_D10_a_prefix_takes_what_begins_so_and_nothing_else(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        for key in ("s/d:user:1", "s/d:user:1:x", "s/d:user%2", "s/d:us", "t/d:user:1"):
            await backend.put(key, entry(backend=backend, copy=True))
        assert (await backend.invalidate_prefix("s/d:user:", "s/in:d")).number == 2
        left = [key for key in ("s/d:user%2", "s/d:us", "t/d:user:1") if (await backend.get(key)).entry is not None]
        assert left == ["s/d:user%2", "s/d:us", "t/d:user:1"]


async def test_D10_several_tags_are_taken_at_once_and_each_entry_counts_once(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        await backend.put("s/d:1", entry(backend=backend, copy=True, tags=("s/tag:a", "s/tag:b")))
        await backend.put("s/d:2", entry(backend=backend, copy=True, tags=("s/tag:b",)))
        await backend.put("s/d:3", entry(backend=backend, copy=True, tags=("s/tag:c",)))
        assert (await backend.invalidate_tags(["s/tag:a", "s/tag:b", "s/tag:none"])).number == 2
        assert (await backend.get("s/d:3")).entry is not None


async def test_D3_a_fill_under_a_lease_that_holds_is_stored(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        lease = (await backend.get("s/d:a", ("s/tag:t", "s/in:d"))).lease
        version = await backend.fill("s/d:a", entry(b"loaded", backend=backend, copy=True, tags=("s/tag:t",)), lease)
        found = (await backend.get("s/d:a")).entry
        assert found is not None
        assert (found.data, found.version) == (b"loaded", version)


async def _write(backend: Any) -> None:
    await backend.put("s/d:a", entry(b"written", backend=backend, copy=True))


async def _delete(backend: Any) -> None:
    await backend.delete("s/d:a")


async def _write_and_delete(backend: Any) -> None:
    await _write(backend)
    await _delete(backend)


async def _invalidate(backend: Any) -> None:
    await backend.invalidate("s/d:a")


async def _invalidate_prefix(backend: Any) -> None:
    await backend.invalidate_prefix("s/d:", "s/in:d")


async def _invalidate_tag(backend: Any) -> None:
    await backend.invalidate_tags(["s/tag:t"])


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "change", [_write, _delete, _write_and_delete, _invalidate, _invalidate_prefix, _invalidate_tag]
)
async def test_D3_a_fill_is_not_stored_when_something_came_between(
    kind: str, tmp_path: Path, change: Any, held: bool
) -> None:
    async with opened(kind, tmp_path) as backend:
        if held:
            await backend.put("s/d:a", entry(b"before", backend=backend, copy=True, tags=("s/tag:t",)))
        lease = (await backend.get("s/d:a", ("s/tag:t", "s/in:d"))).lease
        await change(backend)
        loaded = entry(b"loaded", backend=backend, copy=True, tags=("s/tag:t",))
        assert await backend.fill("s/d:a", loaded, lease) == 0
        found = (await backend.get("s/d:a")).entry
        assert found is None or found.data == b"written"


async def test_D3_a_lease_does_not_mind_what_happens_to_other_keys(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        lease = (await backend.get("s/d:a", ("s/tag:t", "s/in:d"))).lease
        await backend.put("s/d:b", entry(backend=backend))
        await backend.invalidate_tags(["s/tag:other"])
        assert await backend.fill("s/d:a", entry(backend=backend, copy=True, tags=("s/tag:t",)), lease)


async def test_D3_of_two_fills_under_one_lease_the_first_stands(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        lease: Lease = (await backend.get("s/d:a")).lease
        results = [await backend.fill("s/d:a", entry(b"%d" % n, backend=backend, copy=True), lease) for n in (1, 2)]
        assert results[0] > 0
        assert results[1] == 0


async def test_D10_a_hundred_writers_at_once_are_all_stored(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(backend.put, f"s/d:{number}", entry(b"%d" % number, backend=backend))
        read = [(await backend.get(f"s/d:{number}")).entry for number in range(100)]
        assert [one.data for one in read if one is not None] == [b"%d" % number for number in range(100)]
        assert len({one.version for one in read if one is not None}) == 100


async def test_D10_a_cancelled_operation_leaves_the_backend_usable(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        for _ in range(20):
            with anyio.move_on_after(0):
                await backend.put("s/d:a", entry(b"x" * 1000, backend=backend))
            with anyio.move_on_after(0):
                await backend.get("s/d:a")
        await backend.put("s/d:a", entry(b"last", backend=backend))
        found = (await backend.get("s/d:a")).entry
        assert found is not None
        assert found.data == b"last"


async def test_D10_statistics_count_and_show_no_secret(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as backend:
        before = backend.statistics().operations
        await backend.put("s/d:a", entry(b"secret", backend=backend))
        found = backend.statistics()
        assert found.operations > before
        assert found.available
        assert "secret" not in f"{found!r} {backend!r} {(await backend.get('s/d:a'))!r}"
