"""A server that stops and starts again, was never there, or asks for a password: known, said once, and survived."""

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress

import anyio
import anyio.to_thread
import pytest
from tests.valkey_server import ValkeyServer

from evox.errors import RegistryUnavailable
from evox.service_proxy import Instance, Registry

# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
HERE, THERE = Instance("users", "http://10.0.0.1:8001"), Instance("users", "http://10.0.0.2:8001")
PATIENCE = 15.0


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """Return a server that forgets all when it is stopped; not started yet."""
    made = ValkeyServer()
    yield made
    made.remove()


def said(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "evox.proxy" and one.levelname == level]


async def until(check: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while True:  # nobody tells when a server has come so far
            if check():
                return
            await anyio.sleep(0.02)


async def until_found(reader: Registry, *expected: Instance) -> None:
    with anyio.fail_after(PATIENCE):
        while True:  # nobody tells when a server answers again
            try:
                if set(await reader.instances("users")) == set(expected):
                    return
            except RegistryUnavailable:
                pass
            await anyio.sleep(0.02)


@pytest.mark.parametrize("is_open", [False, True])
async def test_what_was_known_is_given_for_a_lease_then_an_error_and_all_are_found_when_it_is_back(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture, is_open: bool
) -> None:
    caplog.set_level("INFO", logger="evox.proxy")
    await anyio.to_thread.run_sync(server.start)
    lease = 1.2
    announcer, reader = (Registry(server.url, lease=lease, timeout=2) for _ in range(2))
    async with anyio.create_task_group() as group:
        for one in (announcer, reader) if is_open else ():
            await one.open(group)
        for instance in (HERE, THERE):
            await group.start(announcer.announce, instance.service, instance.url)
        began = anyio.current_time()
        assert set(await reader.instances("users")) == {HERE, THERE}
        known_until = anyio.current_time() + lease * 4 / 3
        await anyio.to_thread.run_sync(server.stop)
        with anyio.fail_after(PATIENCE):
            while reader.statistics().available:
                with suppress(RegistryUnavailable):  # the stop itself may have taken longer than a lease
                    found = set(await reader.instances("users"))
                    assert found == {HERE, THERE} or anyio.current_time() > began + lease
                await anyio.sleep(0.02)
        with pytest.raises(RegistryUnavailable) as caught:  # noqa: PT012  it comes when it comes
            while True:
                assert set(await reader.instances("users")) == {HERE, THERE}
                assert anyio.current_time() < known_until + 0.5
                await anyio.sleep(0.02)
        assert str(server.port) in caught.value.why
        assert anyio.current_time() > began + lease
        await anyio.to_thread.run_sync(server.start)
        await until_found(reader, HERE, THERE)
        await until(lambda: len(said(caplog, "INFO")) >= 3)
        group.cancel_scope.cancel()
    assert len(said(caplog, "WARNING")) == 3, "once for each announcement and once for lookups, not for each try"
    assert len(said(caplog, "INFO")) == 3
    assert announcer.statistics().failures > 2


async def test_an_announcement_waits_for_a_server_that_is_not_there_yet_and_says_so_once(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    announcer = Registry(server.url, lease=0.3)
    async with anyio.create_task_group() as group:

        async def start_it_late() -> None:
            await until(lambda: announcer.statistics().failures >= 3)
            await anyio.to_thread.run_sync(server.start)

        group.start_soon(start_it_late)
        await group.start(announcer.announce, HERE.service, HERE.url)
        group.cancel_scope.cancel()
    assert len(said(caplog, "WARNING")) == 1


@pytest.mark.parametrize("how", ["stop", "pause"])
async def test_an_announcement_ends_within_a_second_though_nobody_answers(server: ValkeyServer, how: str) -> None:
    await anyio.to_thread.run_sync(server.start)
    announcer = Registry(server.url, lease=60)
    async with anyio.create_task_group() as group:
        await group.start(announcer.announce, HERE.service, HERE.url)
        await anyio.to_thread.run_sync(getattr(server, how))
        began = anyio.current_time()
        group.cancel_scope.cancel()
    assert anyio.current_time() - began < 3, "a second, and what a busy machine takes"


async def test_a_lookup_that_is_not_answered_fails_in_time_and_the_next_one_does_not_wait_again(
    server: ValkeyServer,
) -> None:
    await anyio.to_thread.run_sync(server.start)
    server.pause()
    reader = Registry(server.url, timeout=0.2)
    for _ in range(3):
        with pytest.raises(RegistryUnavailable, match=r"did not answer within 0\.2 s"):
            await reader.instances("users")
    assert reader.statistics().fetches < 3


@pytest.mark.parametrize("is_right", [True, False])
async def test_no_password_is_shown(caplog: pytest.LogCaptureFixture, is_right: bool) -> None:
    caplog.set_level("DEBUG")
    server = ValkeyServer(requirepass="hunter2")
    await anyio.to_thread.run_sync(server.start)
    try:
        one = Registry(server.url if is_right else server.url.replace(":hunter2", "ada:hunter3"), lease=0.3)
        shown = [repr(one), repr(one._store)]
        async with anyio.create_task_group() as group:
            if is_right:
                await group.start(one.announce, HERE.service, HERE.url)
                assert await one.instances("users") == (HERE,)
                await anyio.to_thread.run_sync(server.stop)
                await until(lambda: one.statistics().failures >= 2)
            else:
                group.start_soon(one.announce, HERE.service, HERE.url)
                with pytest.raises(RegistryUnavailable, match="does not take the user or password") as caught:
                    await one.instances("users")
                shown += [str(caught.value), repr(caught.value), caught.value.reason]
            group.cancel_scope.cancel()
    finally:
        server.remove()
    shown += [f"{record.getMessage()} {record.exc_info}" for record in caplog.records]
    assert "hunter" not in "\n".join(shown)
