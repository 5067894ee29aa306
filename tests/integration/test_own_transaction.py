"""``data_io`` and ``inject.db()`` on one SQLite file: a transaction keeps it, and nothing waits for itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest

from evox import Depends, ServiceBuilder, data_io, inject
from evox.errors import InsideTransaction
from evox.testing import running


def on_one_file(svc: Any, folder: Path) -> Any:
    return running(svc, root=folder, settings={"data": {"backend": f"sqlite:///{folder}/shop.db", "timeout": 60}})


CHANGES: list[Callable[[], Awaitable[Any]]] = [
    lambda: data_io.write("k", 2, ttl=60),
    lambda: data_io.delete("k"),
    lambda: data_io.invalidate("k"),
    lambda: data_io.invalidate(prefix="k"),
    lambda: data_io.invalidate(tag="t"),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_would_wait_for_its_own_transaction_is_refused_at_once(
    change: Callable[[], Awaitable[Any]], tmp_path: Path
) -> None:
    async with on_one_file(ServiceBuilder("shop"), tmp_path):
        db = inject.db()
        await db.execute("CREATE TABLE t (n INTEGER)")
        await data_io.write("k", 1, ttl=60)
        with anyio.fail_after(10):
            with pytest.raises(InsideTransaction, match="after the block"):  # noqa: PT012  both in one block
                async with db.transaction():
                    await db.execute("INSERT INTO t VALUES (1)")
                    await change()
            assert await db.fetch_all("SELECT * FROM t") == []
            await change()


async def test_what_is_loaded_in_a_transaction_is_given_and_not_kept(tmp_path: Path) -> None:
    async with on_one_file(ServiceBuilder("shop"), tmp_path):
        db = inject.db()
        loads: list[int] = []

        async def load() -> int:
            loads.append(1)
            return len(loads)

        with anyio.fail_after(10):
            async with db.transaction():
                assert await data_io.read("k", loader=load, ttl=60) == 1
            assert [await data_io.read("k", loader=load, ttl=60) for _ in range(2)] == [2, 2]


async def test_D6_a_write_under_a_dependencys_transaction_takes_answers_away_when_that_has_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    svc = ServiceBuilder("shop")

    async def in_transaction() -> AsyncIterator[None]:
        async with inject.db().transaction():
            yield

    @svc.on_startup
    async def make() -> None:
        await inject.db().execute("CREATE TABLE t (n INTEGER)")

    @svc.get("/count", cache="1h")
    async def count() -> int:
        return len(await inject.db().fetch_all("SELECT * FROM t"))

    @svc.post("/count")
    async def add(_: Annotated[None, Depends(in_transaction)]) -> None:
        await inject.db().execute("INSERT INTO t VALUES (1)")

    async with on_one_file(svc, tmp_path) as env:
        client = env.client(svc)
        with anyio.fail_after(10):
            assert (await client.get("/count")).json() == 0
            assert (await client.post("/count")).status_code == 200
            while (await client.get("/count")).json() == 0:  # noqa: ASYNC110  it is committed after the answer
                await anyio.sleep(0.01)
    assert "may be old" not in caplog.text
