"""Readiness: readers on trio hear of what comes, all by one wait of the loop."""

import select
import socket
from collections.abc import Iterator
from contextlib import closing

import anyio
import anyio.lowlevel
import pytest
import trio

from evox.serving.readiness import Readiness
from evox.serving.wires import Wire, open_wire

SOON = 5.0
pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux has epoll")


@pytest.fixture
def anyio_backend() -> str:
    return "trio"  # on asyncio transports do this


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with closing(near), closing(far):
        yield near, far


async def received(wire: Wire, into: list[bytes], size: int = 65_536) -> None:
    into.append(await wire.receive(size))


async def test_what_came_before_it_was_watched_and_what_comes_later_is_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    far.send(b"before")
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        with anyio.fail_after(SOON):
            assert await wire.receive() == b"before"
            found: list[bytes] = []
            group.start_soon(received, wire, found)
            await anyio.wait_all_tasks_blocked()
            assert found == []
            far.send(b"later")
            while not found:
                await anyio.lowlevel.checkpoint()
        assert found == [b"later"]
        await wire.close()


async def test_more_than_is_read_at_once_is_not_forgotten(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    far.send(b"abcdef")
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        with anyio.fail_after(SOON):
            assert [await wire.receive(2) for _ in range(3)] == [b"ab", b"cd", b"ef"]
            far.close()
            assert await wire.receive(2) == b""
        await wire.close()


async def test_the_end_is_read_behind_the_last_bytes_and_stays_the_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        found: list[bytes] = []
        group.start_soon(received, wire, found)
        await anyio.wait_all_tasks_blocked()
        far.send(b"last")
        far.close()
        with anyio.fail_after(SOON):
            while not found:
                await anyio.lowlevel.checkpoint()
            assert found == [b"last"]
            assert [await wire.receive(), await wire.receive()] == [b"", b""]
        await wire.close()


async def test_a_reader_that_is_cancelled_leaves_the_next_one_all_that_comes(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time()
            await wire.receive()
        assert scope.cancelled_caught
        far.send(b"for the next")
        with anyio.fail_after(SOON):
            assert await wire.receive() == b"for the next"
        await wire.close()


async def test_two_readers_of_one_connection_are_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    far.send(b"a")
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        assert await wire.receive() == b"a"
        group.start_soon(received, wire, [])
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await wire.receive()
        await wire.close()


async def test_a_wire_that_is_aborted_reads_as_ended(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        found: list[bytes] = []
        group.start_soon(received, wire, found)
        await anyio.wait_all_tasks_blocked()
        wire.abort()
        with anyio.fail_after(SOON):
            while not found:
                await anyio.lowlevel.checkpoint()
        assert found == [b""]
        await wire.close()


async def test_what_wakes_readers_ends_with_the_last_socket_and_begins_anew_with_the_next() -> None:
    """Else a port would never be closed; and a descriptor that is used again would wake the wrong reader."""
    async with anyio.create_task_group() as group:
        readiness = Readiness(group)
        for word in (b"one", b"two", b"three"):
            near, far = socket.socketpair()
            near.setblocking(False)
            with closing(far), anyio.fail_after(SOON):
                wire = await open_wire(near, readiness)
                found: list[bytes] = []
                group.start_soon(received, wire, found)
                await anyio.wait_all_tasks_blocked()
                far.send(word)
                while not found:
                    await anyio.lowlevel.checkpoint()
                assert found == [word]
                await wire.close()
        assert repr(readiness) == "<Readiness of 0 sockets>"
    # The group has ended: nothing is left in it.


async def test_without_epoll_each_reader_asks_the_loop(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = pair
    monkeypatch.setattr("evox.serving.readiness.select", object())
    far.send(b"a")
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        with anyio.fail_after(SOON):
            assert await wire.receive() == b"a"
        await wire.close()


async def test_a_wire_can_be_closed_though_what_wakes_readers_was_cancelled_before(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A port that is cancelled ends both, in any order."""
    near, _ = pair
    async with anyio.create_task_group() as group:
        wire = await open_wire(near, Readiness(group))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            await wire.close()
    assert near.fileno() < 0


async def test_what_comes_behind_an_urgent_byte_is_read() -> None:
    """A read ends at such a byte, with more to be read behind it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
        near, _ = listener.accept()
        near.setblocking(False)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with anyio.create_task_group() as group:
            wire, found = await open_wire(near, Readiness(group)), list[bytes]()
            group.start_soon(received, wire, found)
            await anyio.wait_all_tasks_blocked()
            far.send(b"before")
            far.send(b"!", socket.MSG_OOB)
            far.send(b"behind")
            with anyio.move_on_after(1):
                while not found:
                    await anyio.lowlevel.checkpoint()
                found.append(await wire.receive())
            await wire.close()
    assert b"".join(found) == b"beforebehind"
