"""Loaders that read what their caller may not: the refusal is the caller's own, it is recorded, nothing has failed."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.core import auth, data_intent, data_io
from evox.errors import NotAllowed
from evox.testing import acting_as, running


@data_intent.cacheable(ttl="1h", name="refused-ledger")
@auth.require_roles("admin")
class Ledger:
    def __init__(self, total: int) -> None:
        self.total = total


async def test_A7_one_that_is_refused_refuses_nobody_who_waits_for_the_same() -> None:
    begun, go_on = anyio.Event(), anyio.Event()
    found: dict[str, Any] = {}

    async def load() -> int:
        begun.set()
        await go_on.wait()
        await data_io.read(Ledger, "x")
        return 7

    async def read(name: str, role: str) -> None:
        with acting_as(name, roles=[role]):
            try:
                found[name] = await data_io.read("summary", loader=load)
            except NotAllowed:
                found[name] = "refused"

    async with running(ServiceBuilder("books")), anyio.create_task_group() as group:
        group.start_soon(read, "ada", "user")
        await begun.wait()
        group.start_soon(read, "root", "admin")
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert found == {"ada": "refused", "root": 7}


async def test_A7_a_refusal_is_no_failure_of_the_source() -> None:
    async def load() -> int:
        await data_io.read(Ledger, "x")
        return 7

    async with running(ServiceBuilder("books")):
        for _ in range(3):
            with acting_as("ada", roles=["user"]), pytest.raises(NotAllowed):
                await data_io.read("summary", loader=load)
        with acting_as("root", roles=["admin"]):
            assert await data_io.read("summary", loader=load) == 7


async def test_A4_a_refusal_by_data_is_recorded_as_one_by_a_guard(caplog: pytest.LogCaptureFixture) -> None:
    svc = ServiceBuilder("books")

    @svc.get("/total")
    async def total() -> int:
        found = await data_io.read(Ledger, "x")
        return 0 if found is None else found.total

    async with running(svc) as env:
        assert (await env.client(svc, token=env.token("ada", roles=["user"])).get("/total")).status_code == 403
        assert (await env.client(svc).get("/total")).status_code == 401
        assert (await env.client(svc, token=env.token("root", roles=["admin"])).get("/total")).json() == 0
        statistics = env.service(svc).authority.statistics()
    assert [(one.status, one.target) for one in statistics.recent] == [(403, "type 'Ledger'"), (401, "type 'Ledger'")]
    assert "403 for a caller of type 'Ledger' of books" in caplog.text


@pytest.mark.parametrize("first", ["the name", "the type"])
async def test_A7_an_intent_with_the_name_of_a_type_asks_what_the_type_asks(first: str, tmp_path: Path) -> None:
    settings = {"data": {"backend": f"sqlite:///{tmp_path / 'd.db'}", "intents": {"refused-ledger": {"ttl": "2h"}}}}
    async with running(ServiceBuilder("books"), settings=settings):
        await data_io.write(Ledger, "x", Ledger(3))
    async with running(ServiceBuilder("books"), settings=settings):
        if first == "the type":
            kept = await data_io.read(Ledger, "x")
            assert kept is not None
            assert kept.total == 3
        with acting_as(None), pytest.raises(Exception, match=r"not for callers|same name"):
            await data_io.read("refused-ledger", "x")
        with acting_as("ada", roles=["user"]), pytest.raises(Exception, match=r"not for this caller|same name"):
            await data_io.read("refused-ledger", "x")
