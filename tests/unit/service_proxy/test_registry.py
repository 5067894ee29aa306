"""Services that find each other through a real server: announced, looked up, and gone."""

import gc
import random
from collections.abc import Callable, Iterator
from uuid import uuid4

import anyio
import pytest
from tests import valkey_server
from tests.valkey_server import ValkeyServer

from evox.errors import RegistryUnavailable
from evox.service_proxy import Instance, Registry
from evox.service_proxy.registry_store import RegistryStore

# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
HERE, THERE = "http://10.0.0.1:8001", "https://10.0.0.2:8443"
PATIENCE = 15.0
LONG = 60.0  # a lease that is not over while a test runs


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


@pytest.fixture
def service() -> str:
    return f"users-{uuid4().hex}"


@pytest.fixture
def paused() -> Iterator[ValkeyServer]:
    """Return a server that takes connections, and answers nothing until it is resumed."""
    server = ValkeyServer().start()
    server.pause()
    yield server
    server.remove()


def registry(*, lease: float = LONG, url: str = "") -> Registry:
    return Registry(url or valkey_server.url(), lease=lease)


def urls(found: tuple[Instance, ...]) -> set[str]:
    return {one.url for one in found}


def entries(service: str) -> str:
    return valkey_server.ask("ZRANGE", f"evox:services:{service}", "0", "-1")


def write(service: str, *members: str) -> None:
    for member in members:
        valkey_server.ask("ZADD", f"evox:services:{service}", "inf", member)


async def until(check: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while True:  # nobody tells when a server has come so far
            if check():
                return
            await anyio.sleep(0.02)


@pytest.mark.parametrize("is_open", [False, True])
async def test_what_two_machines_announce_is_seen_by_a_third(service: str, is_open: bool) -> None:
    first, second, third = registry(), registry(), registry()
    async with anyio.create_task_group() as group:
        for one in (first, second, third) if is_open else ():
            await one.open(group)
        await group.start(first.announce, service, HERE)
        await group.start(second.announce, service, THERE)
        assert set(await third.instances(service)) == {Instance(service, HERE), Instance(service, THERE)}
        assert first.statistics().announced == (Instance(service, HERE),)
        assert third.statistics().connections == int(is_open)
        group.cancel_scope.cancel()
    assert first.statistics().announced == ()


async def test_a_service_that_nobody_has_announced_runs_nowhere(service: str) -> None:
    assert await registry().instances(service) == ()


async def test_whoever_does_not_renew_is_gone_when_its_lease_is_over_and_so_is_all_that_was_kept(service: str) -> None:
    reader = registry(lease=0.3)
    await RegistryStore(valkey_server.url(), 5).announce(service, HERE, 0.3)
    assert await reader.instances(service) == (Instance(service, HERE),)
    await anyio.sleep(0.3)
    assert await reader.instances(service) == ()
    await until(lambda: valkey_server.ask("EXISTS", f"evox:services:{service}") == ":0\r\n")


async def test_whoever_renews_stays_and_takes_out_those_who_did_not(service: str) -> None:
    await RegistryStore(valkey_server.url(), 5).announce(service, THERE, 0.3)
    announcer = registry(lease=1.5)
    async with anyio.create_task_group() as group:
        await group.start(announcer.announce, service, HERE)
        await until(lambda: announcer.statistics().renewals >= 5)
        assert await registry().instances(service) == (Instance(service, HERE),)
        assert THERE not in entries(service)
        group.cancel_scope.cancel()


async def test_a_short_lease_of_one_does_not_end_the_long_one_of_another(service: str) -> None:
    store = RegistryStore(valkey_server.url(), 5)
    await store.announce(service, HERE, LONG)
    await store.announce(service, THERE, 0.3)
    assert int(valkey_server.ask("PTTL", f"evox:services:{service}")[1:]) > LONG * 1000


@pytest.mark.parametrize("is_open", [False, True])
async def test_whoever_ends_is_taken_out_at_once_though_the_connection_ends_with_it(
    service: str, is_open: bool
) -> None:
    announcer = registry()
    async with anyio.create_task_group() as group:
        if is_open:
            await announcer.open(group)
        await group.start(announcer.announce, service, HERE)
        assert HERE in entries(service)
        group.cancel_scope.cancel()
    assert entries(service) == "*0\r\n"


async def test_whoever_ends_leaves_the_entry_of_its_successor_on_the_same_address(service: str) -> None:
    async with anyio.create_task_group() as successors:
        async with anyio.create_task_group() as group:
            await group.start(registry().announce, service, HERE)
            await anyio.sleep(0.01)  # its entry differs by a millisecond of the server's
            await successors.start(registry().announce, service, HERE)
            group.cancel_scope.cancel()
        assert HERE in entries(service)
        successors.cancel_scope.cancel()
    assert entries(service) == "*0\r\n"


async def test_an_instance_that_is_forgotten_is_left_out_until_the_server_is_asked_again(service: str) -> None:
    reader = registry(lease=0.6)
    write(service, HERE, THERE)
    reader.forget(Instance(service, HERE))  # of a service that nobody has looked up
    assert urls(await reader.instances(service)) == {HERE, THERE}
    reader.forget(Instance(service, HERE))
    left = urls(await reader.instances(service))
    assert left == {THERE} or reader.statistics().fetches > 1
    await anyio.sleep(0.2)
    assert urls(await reader.instances(service)) == {HERE, THERE}


async def test_50_lookups_at_the_same_time_ask_once(service: str) -> None:
    reader, found = registry(), []
    write(service, HERE)

    async def look() -> None:
        found.append(await reader.instances(service))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(look)
    assert found == [(Instance(service, HERE),)] * 50
    assert await reader.instances(service) == found[0]
    assert (reader.statistics().fetches, reader.statistics().joined) == (1, 49)


@pytest.mark.parametrize("number", [0, 1])
async def test_cancelling_one_who_waits_cancels_nobody_else_whether_he_asks_or_not(
    paused: ValkeyServer, number: int
) -> None:
    reader, found = registry(url=paused.url), []
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def look(scope: anyio.CancelScope) -> None:
        with scope:
            found.append(await reader.instances("users"))

    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(look, scope)
            await anyio.wait_all_tasks_blocked()
        scopes[number].cancel()
        await anyio.wait_all_tasks_blocked()
        assert found == []
        paused.resume()
    assert found == [(), ()]
    assert [scope.cancelled_caught for scope in scopes] == [index == number for index in range(3)]
    assert reader.statistics().fetches == (2 if number == 0 else 1)


@pytest.mark.timeout(60)
async def test_100_random_cancellations_leave_the_pool_usable(service: str) -> None:
    reader, rand = registry(lease=0.003), random.Random(7)
    write(service, HERE)
    async with anyio.create_task_group() as group:
        await reader.open(group)

        async def look() -> None:
            with anyio.move_on_after(rand.uniform(0, 0.005)):
                await reader.instances(service)

        for _ in range(20):
            async with anyio.create_task_group() as several:
                for _ in range(5):
                    several.start_soon(look)
        assert await reader.instances(service) == (Instance(service, HERE),)
        assert reader.statistics().connections == 1
        await reader.close()


async def test_nothing_is_looked_up_after_it_was_closed(service: str) -> None:
    reader = registry()
    async with anyio.create_task_group() as group:
        await reader.open(group)
        assert await reader.instances(service) == ()
        await reader.close()
        assert reader.statistics().connections == 0
    with pytest.raises(RegistryUnavailable, match="closed here"):
        await reader.instances(service)
