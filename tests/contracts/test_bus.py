"""D2, D3: what one process changes, another hears of; two backends on one store stand for two processes."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests import postgres_server
from tests.contracts.backends import REPORTING, SHARED, Heard, entry, opened

from evox.data.backends.postgres_connection import connect

reporting = pytest.mark.parametrize("kind", REPORTING)
shared = pytest.mark.parametrize("kind", SHARED)
SOON = 5.0


@reporting
async def test_D3_a_write_of_another_is_reported_with_its_version(kind: str, tmp_path: Path) -> None:
    heard = Heard()
    async with opened(kind, tmp_path, heard), opened(kind, tmp_path) as other:
        version = await other.put("s/d:a", entry(backend=other))
        with anyio.fail_after(SOON):
            change = await heard.wait_for(key="s/d:a")
        assert change.version == version


@reporting
async def test_D3_a_deletion_by_another_is_reported(kind: str, tmp_path: Path) -> None:
    heard = Heard()
    async with opened(kind, tmp_path) as other:
        await other.put("s/d:a", entry(backend=other))
        async with opened(kind, tmp_path, heard):
            removed = await other.delete("s/d:a")
            with anyio.fail_after(SOON):
                while (await heard.wait_for(key="s/d:a")).version != removed.version:
                    await anyio.lowlevel.checkpoint()


@reporting
@pytest.mark.parametrize("by", ["tag", "prefix"])
async def test_D3_an_invalidation_by_another_is_reported_by_its_guard(kind: str, tmp_path: Path, by: str) -> None:
    heard = Heard()
    async with opened(kind, tmp_path, heard), opened(kind, tmp_path) as other:
        guard = "s/tag:t" if by == "tag" else "s/in:d"
        if by == "tag":
            await other.invalidate_tags(["s/tag:t"])
        else:
            await other.invalidate_prefix("s/d:", "s/in:d")
        with anyio.fail_after(SOON):
            assert (await heard.wait_for(guard=guard)).version > 0


@reporting
async def test_D3_a_thousand_changes_are_all_reported(kind: str, tmp_path: Path) -> None:
    heard = Heard()
    async with opened(kind, tmp_path, heard), opened(kind, tmp_path) as other:
        async with anyio.create_task_group() as group:
            for number in range(1000):
                group.start_soon(other.put, f"s/d:{number}", entry(backend=other))
        with anyio.fail_after(SOON):
            for number in range(1000):
                await heard.wait_for(key=f"s/d:{number}")


@shared
async def test_D10_two_processes_see_each_others_writes_at_once(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as one, opened(kind, tmp_path) as other:
        for number in range(20):
            await one.put("s/d:a", entry(b"%d" % number, backend=one))
            found = (await other.get("s/d:a")).entry
            assert found is not None
            assert found.data == b"%d" % number


@shared
async def test_D10_a_store_outlives_who_opened_it(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as one:
        await one.put("s/d:a", entry(b"kept", backend=one))
    async with opened(kind, tmp_path) as one:
        found = (await one.get("s/d:a")).entry
        assert found is not None
        assert found.data == b"kept"


async def test_D3_a_listener_that_is_cut_off_says_so_and_hears_again(tmp_path: Path) -> None:
    heard = Heard()
    async with opened("postgresql", tmp_path, heard), opened("postgresql", tmp_path) as other:
        connection = await connect(postgres_server.url(), timeout=SOON)
        with anyio.fail_after(SOON):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
            )
            await connection.close()
            while not heard.found_times:
                await heard.news.wait()
            assert heard.lost_times == 1
            version = await other.put("s/d:a", entry(backend=other))
            assert (await heard.wait_for(key="s/d:a")).version == version


async def test_D3_postgresql_tells_nobody_unless_it_is_asked_to(tmp_path: Path) -> None:
    heard = Heard()
    async with opened("postgresql", tmp_path, heard), opened("postgresql", tmp_path, notify=False) as other:
        await other.put("s/d:silent", entry(backend=other))
        async with opened("postgresql", tmp_path) as loud:
            await loud.put("s/d:told", entry(backend=loud))
            with anyio.fail_after(SOON):
                await heard.wait_for(key="s/d:told")
    assert [change.key for change in heard.changes] == ["s/d:told"]
