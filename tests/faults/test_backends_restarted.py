"""PostgreSQL and Valkey stopped and started under load: clear errors or old values, and nothing to restart."""

import gc
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.postgres_server import PostgresServer
from tests.valkey_server import ValkeyServer

from evox import ServiceBuilder, data_intent, data_io
from evox.errors import BackendUnavailable, WriteOutcomeUnknown
from evox.testing import running

kept = data_intent.define("kept_value", ttl="1h", fallback="aggressive", consistency="eventual")
plain = data_intent.define("plain_value")
pytestmark = [
    pytest.mark.parametrize("kind", ["postgresql", "valkey"]),
    pytest.mark.timeout(60),
    # coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


def started(kind: str) -> Any:
    return PostgresServer().start() if kind == "postgresql" else ValkeyServer(appendonly="yes").start()


async def works() -> bool:
    try:
        await data_io.write(plain, "probe", 1)
        return bool(await data_io.read(plain, "probe") == 1)
    except (BackendUnavailable, WriteOutcomeUnknown):
        return False


async def until_it_works() -> None:
    with anyio.fail_after(PATIENCE):
        while True:  # nobody tells when a server answers again
            if await works():
                return
            await anyio.sleep(0.05)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_D1_D2_a_backend_that_goes_and_comes_back(kind: str, how: str) -> None:
    server = await anyio.to_thread.run_sync(started, kind)
    try:
        settings = {"data": {"backend": server.url, "timeout": 2, "connections": 4, "l1_ttl": 0.2}}
        async with running(ServiceBuilder("shop"), settings=settings) as env:
            errors: list[Exception] = []
            acknowledged: dict[str, int] = {}
            done = anyio.Event()

            async def load(task: int) -> None:
                number = 0
                while not done.is_set():
                    key = f"{task}:{number}"
                    try:
                        await data_io.write(plain, key, number)
                        acknowledged[key] = number
                        await data_io.read(plain, key)
                    except Exception as error:  # noqa: BLE001  looked at below
                        errors.append(error)
                        await anyio.sleep(0.05)
                    number += 1

            await data_io.write(kept, "a", {"old": True})
            assert await data_io.read(kept, "a") == {"old": True}
            async with anyio.create_task_group() as group:
                for task in range(20):
                    group.start_soon(load, task)
                await anyio.sleep(0.2)
                await anyio.to_thread.run_sync(getattr(server, how))
                await anyio.sleep(0.5)
                assert await data_io.read(kept, "a") == {"old": True}
                with pytest.raises(BackendUnavailable) as caught:
                    await data_io.read(plain, "anything")
                assert "evox:evox@" not in str(caught.value)
                await anyio.to_thread.run_sync(server.start)
                await until_it_works()
                done.set()
            assert {type(error) for error in errors} <= {BackendUnavailable, WriteOutcomeUnknown}
            assert errors
            if how == "stop":
                missing = [key for key, value in acknowledged.items() if await data_io.read(plain, key) != value]
                assert missing == []
            assert env.service("shop").data.statistics().backends[0].available
    finally:
        await anyio.to_thread.run_sync(server.remove)


async def test_a_backend_that_is_not_there_is_said_at_the_start_without_its_password(kind: str) -> None:
    settings = {"data": {"backend": f"{kind}://ada:s3cret@127.0.0.1:9/1", "timeout": 2}}
    with pytest.raises(BackendUnavailable) as caught:
        async with running(ServiceBuilder("shop"), settings=settings):
            pass
    assert "s3cret" not in str(caught.value)


async def test_a_wrong_password_is_said_at_the_start_and_not_shown(kind: str) -> None:
    server = PostgresServer() if kind == "postgresql" else ValkeyServer(requirepass="right")
    await anyio.to_thread.run_sync(server.start)
    try:
        wrong = server.url.replace("evox:evox@", "evox:s3cret@").replace(":right@", ":s3cret@")
        with pytest.raises(Exception, match=r"EVX-105") as caught:
            async with running(ServiceBuilder("shop"), settings={"data": {"backend": wrong, "timeout": 2}}):
                pass
        assert "s3cret" not in str(caught.value)
    finally:
        await anyio.to_thread.run_sync(server.remove)


async def test_a_backend_that_is_back_is_said_to_be_where_nobody_asks_it(kind: str) -> None:
    if kind == "postgresql":
        pytest.skip("it is asked once a minute, when what has expired is removed")
    server = await anyio.to_thread.run_sync(started, kind)
    svc = ServiceBuilder("shop")
    try:
        async with running(svc, settings={"data": {"backend": server.url, "timeout": 2}}) as env:

            async def is_available() -> bool:
                (backend,) = (await env.client(svc).get("/_evox/caches")).json()["backends"]
                return bool(backend["available"])

            assert await works()
            await anyio.to_thread.run_sync(server.stop)
            assert not await works()
            assert not await is_available()
            await anyio.to_thread.run_sync(server.start)
            with anyio.fail_after(PATIENCE):
                while True:  # nobody tells when a server answers again
                    if await is_available():
                        break
                    await anyio.sleep(0.05)
    finally:
        await anyio.to_thread.run_sync(server.remove)
