"""A Valkey that answers and refuses: our errors and never the driver's, nothing half done, and what to do about it.

What broke: the driver takes the code away from an answer, so no code was ever found in one; and a server that was made
a replica went on to serve strong reads.
"""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from coredis.exceptions import RedisError
from coredis.parser import Parser
from tests.valkey_server import ValkeyServer

from evox import ServiceBuilder, data_io
from evox.config import DataSettings
from evox.data.backends.valkey import LAST, ValkeyBackend
from evox.data.backends.valkey_setup import is_full, is_passing, nothing_was_done
from evox.data.entries import Entry
from evox.errors import (
    BackendUnavailable,
    CapacityExceeded,
    WriteOutcomeUnknown,
)
from evox.testing import running

made: dict[str, Any] = {}
source = "from evox import data_intent\nstrong = data_intent.define('refusals_strong', consistency='strong')"
exec(compile(source, "elsewhere.py", "exec"), made)  # what is declared beside a service is checked by all tests here
strong: Any = made["strong"]
# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
SOON = 5.0


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    made = ValkeyServer(appendonly="yes", appendfsync="always").start()
    yield made
    made.remove()


def shop(url: str) -> Any:
    return running(ServiceBuilder("shop"), settings={"data": {"backend": url, "timeout": 2}})


async def told(server: ValkeyServer, *words: str) -> str:
    return await anyio.to_thread.run_sync(server.ask, *words)


@asynccontextmanager
async def opened(server: ValkeyServer) -> AsyncIterator[ValkeyBackend]:
    backend = ValkeyBackend(server.url, DataSettings())

    class Deaf:
        def changed(self, change: Any) -> None: ...
        def lost(self) -> None: ...
        def found(self) -> None: ...

    async with anyio.create_task_group() as group:
        await backend.open(group, Deaf())
        yield backend
        await backend.close()
        group.cancel_scope.cancel()


STATES = {
    "a replica": (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]),
    "a replica that lost its primary": (
        ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
        ["REPLICAOF NO ONE"],
    ),
    "too few replicas": (["CONFIG SET min-replicas-to-write 3"], ["CONFIG SET min-replicas-to-write 0"]),
    "another password": (
        ["CONFIG SET requirepass other", "CLIENT KILL TYPE normal"],
        ["AUTH other", "CONFIG SET requirepass ''"],
    ),
    "no right to run scripts": (["ACL SETUSER default -evalsha"], ["ACL SETUSER default +@all"]),
}


async def talk(server: ValkeyServer, *lines: str) -> None:
    async with await anyio.connect_tcp("127.0.0.1", server.port) as asked:
        for line in lines:
            await asked.send(line.encode() + b"\r\n")
            await asked.receive()


@pytest.mark.parametrize("state", STATES)
async def test_a_server_that_refuses_is_not_available_and_is_again_when_it_stops_refusing(
    server: ValkeyServer, state: str
) -> None:
    begin, end = STATES[state]
    async with shop(server.url) as env:
        await data_io.write("a", 1)
        await talk(server, *begin)
        with pytest.raises(BackendUnavailable) as caught:
            await data_io.write("a", 2)
        assert "HELLO" not in str(caught.value)
        assert not env.service("shop").data.statistics().backends[0].available
        with pytest.raises(BackendUnavailable):
            await data_io.delete("a")
        await talk(server, *end)
        assert await data_io.read("a") == 1
        await data_io.write("a", 3)
        assert await data_io.read("a") == 3
        assert env.service("shop").data.statistics().backends[0].available


async def test_a_server_that_cannot_save_is_not_available_for_writes_and_is_for_reads(server: ValkeyServer) -> None:
    async with shop(server.url):
        await data_io.write(strong, "a", 1)
        (server.folder / "dump.rdb").mkdir()
        await talk(server, "CONFIG SET save '3600 1'", "BGSAVE")
        with anyio.fail_after(SOON):
            while "rdb_last_bgsave_status:err" not in await told(server, "INFO", "persistence"):
                await anyio.lowlevel.checkpoint()
        with pytest.raises(BackendUnavailable, match="MISCONF"):
            await data_io.write(strong, "a", 2)
        assert await data_io.read(strong, "a") == 1


async def test_a_server_that_is_busy_with_a_script_is_not_available(server: ValkeyServer) -> None:
    async with shop(server.url), await anyio.connect_tcp("127.0.0.1", server.port) as asked:
        await data_io.write("a", 1)
        await talk(server, "CONFIG SET busy-reply-threshold 1")
        await asked.send(b"EVAL 'while true do end' 0\r\n")
        with anyio.fail_after(SOON):
            while "BUSY" not in await told(server, "GET", "a"):
                await anyio.lowlevel.checkpoint()
        with pytest.raises(BackendUnavailable, match="BUSY"):
            await data_io.write("a", 2)
        await talk(server, "SCRIPT KILL")
        with anyio.fail_after(SOON):
            while "BUSY" in await told(server, "GET", "a"):
                await anyio.lowlevel.checkpoint()
        assert await data_io.read("a") == 1


async def test_what_is_refused_in_the_middle_of_a_script_may_have_been_done(server: ValkeyServer) -> None:
    async with shop(server.url):
        await talk(server, "ACL SETUSER default -publish")
        with pytest.raises(WriteOutcomeUnknown, match="publish"):
            await data_io.write("a", 1)


async def test_a_full_server_has_no_room_and_still_lets_what_it_has_be_deleted(server: ValkeyServer) -> None:
    async with shop(server.url):
        await data_io.write("a", 1)
        await data_io.write("copy", 1, ttl="1h", tags=["t"])
        await talk(server, "CONFIG SET maxmemory 1")
        with pytest.raises(CapacityExceeded):
            await data_io.write("a", 2)
        assert await data_io.read("a") == 1
        assert await data_io.invalidate("copy") == 1
        assert await data_io.invalidate(tag="t") == 0
        assert await data_io.delete("a")


@pytest.mark.parametrize(
    ("answer", "passing", "nothing", "full"),
    [
        ("LOADING Valkey is loading the dataset in memory", True, True, False),
        ("READONLY You can't write against a read only replica. script: on @user_script:3.", True, True, False),
        ("ERR Error running script (call to f_9): @user_script:3: -READONLY You can't write", True, True, False),
        ("ERR Error running script (call to f_9): @user_script:3: -OOM command not allowed", False, False, True),
        ("@user_script: 41: -READONLY You can't write against a read only replica.", True, True, False),
        ("NOREPLICAS Not enough good replicas to write.", True, True, False),
        ("MISCONF Errors writing to the AOF file: No space left on device", True, True, False),
        ("CLUSTERDOWN The cluster is down", True, True, False),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", True, True, False),
        ("EXECABORT Transaction discarded because of previous errors.", True, True, False),
        ("BUSY Valkey is busy running a script.", True, True, False),
        ("NOAUTH Authentication required.", False, True, False),
        ("WRONGPASS invalid username-password pair or user is disabled.", False, True, False),
        ("NOPERM User default has no permissions to run the 'evalsha' command", False, True, False),
        ("ERR ACL failure in script: User default has no permissions", False, False, False),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False, False, False),
        ("OOM command not allowed when used memory > 'maxmemory'.", False, False, True),
    ],
)
def test_each_answer_is_taken_for_what_it_says(answer: str, passing: bool, nothing: bool, full: bool) -> None:
    error: RedisError = Parser().parse_error(answer)
    assert (is_passing(error), nothing_was_done(error), is_full(error)) == (passing, nothing, full)


async def test_D1_a_server_that_was_made_a_replica_serves_no_strong_read(server: ValkeyServer) -> None:
    async with shop(server.url):
        await data_io.write(strong, "a", "old")
        await talk(server, "REPLICAOF 127.0.0.1 1")
        with pytest.raises(BackendUnavailable, match="read only replica"):
            await data_io.read(strong, "a")
        await talk(server, "REPLICAOF NO ONE", "CONFIG SET min-replicas-to-write 3")
        assert await data_io.read(strong, "a") == "old"  # it is a primary, though it may not write


async def test_D1_a_server_that_would_write_as_a_replica_is_not_to_be_trusted_with_strong(server: ValkeyServer) -> None:
    async with opened(server) as backend:
        assert backend.facts.linearizable
    await talk(server, "CONFIG SET replica-read-only no")
    async with opened(server) as backend:
        assert backend.facts.why_not == "it would take writes as a replica"


@pytest.mark.parametrize("until", [1e18, 1e300, math.inf, LAST, LAST - 1, 1e10])
async def test_an_end_that_is_no_time_for_the_server_is_the_entrys_own_and_nothing_is_half_done(
    server: ValkeyServer, until: float
) -> None:
    async with opened(server) as backend:
        await backend.put("s/d:a", Entry(b"before", keep_until=backend.clock() + 60, tags=("s/tag:t",)))
        put = Entry(b"1", fresh_until=until, keep_until=until, tags=("s/tag:t",))
        version = await backend.put("s/d:a", put)
        assert (await backend.get("s/d:a")).entry == put._replace(version=version)
        for key in ("evox:e:s/d:a", "evox:t:s/tag:t"):
            left = int((await told(server, "PEXPIRETIME", key))[1:])
            assert left == (-1 if until >= LAST else math.floor((until + 300) * 1000))


async def test_a_time_to_live_beyond_all_time_is_stored(server: ValkeyServer) -> None:
    async with shop(server.url):
        await data_io.write("a", 1, ttl=1e18)
        assert await data_io.read("a") == 1
