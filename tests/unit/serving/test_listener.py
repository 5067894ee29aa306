"""Listener: binding, the accept loop, and what a close does with those who wait."""

import errno
import importlib.util
import socket
from collections.abc import Iterator
from contextlib import closing

import anyio
import anyio.lowlevel
import pytest

from evox.errors import CannotBind, PortInUse
from evox.serving import Listener, bind
from evox.serving.wire_stream import WireStream
from evox.serving.wires import open_wire

UVLOOP = importlib.util.find_spec("uvloop") is not None
MUCH = 100_000_000  # bytes, far more than kernels keep


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with closing(bind("127.0.0.1", 0, service="shop")) as one:
        yield one


class Greeter:
    """Serves a connection with one byte, and counts."""

    def __init__(self) -> None:
        self.served = 0
        self.done = anyio.Event()

    async def __call__(self, raw: socket.socket) -> None:
        try:
            stream = WireStream(await open_wire(raw))
            await stream.send(b"!")
            await stream.aclose()
        except (OSError, anyio.BrokenResourceError):
            raw.close()  # its client has left
            return
        self.served += 1
        self.done.set()
        self.done = anyio.Event()


async def greeted(address: tuple[str, int]) -> bytes:
    async with await anyio.connect_tcp(*address) as stream:
        return await stream.receive()


def test_V1_port_0_takes_a_free_one(bound: socket.socket) -> None:
    assert bound.getsockname()[1] > 0


def test_V1_a_busy_port_is_an_error_that_names_service_and_port(bound: socket.socket) -> None:
    port = bound.getsockname()[1]
    with pytest.raises(PortInUse, match=str(port)) as caught:
        bind("127.0.0.1", port, service="shop")
    assert caught.value.exit_code == 69
    assert "shop" in caught.value.why


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(CannotBind, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0, service="shop")


def test_a_name_that_does_not_resolve_is_an_error() -> None:
    with pytest.raises(CannotBind, match=r"no\.such\.host\.invalid"):
        bind("no.such.host.invalid", 0, service="shop")


def test_a_port_can_be_bound_again_right_after_its_connections_ended() -> None:
    with closing(bind("127.0.0.1", 0, service="shop")) as first:
        address = first.getsockname()
        with socket.create_connection(address):
            accepted, _ = first.accept()
            accepted.close()  # our side leaves first, so that the port is in TIME_WAIT
    with closing(bind("127.0.0.1", address[1], service="shop")) as second:
        assert second.getsockname() == address


async def test_the_url_is_one_that_a_client_can_use() -> None:
    with closing(bind("::1", 0, service="shop")) as six, closing(bind("127.0.0.1", 0, service="shop")) as four:

        async def accept(raw: socket.socket) -> None: ...

        assert Listener(six, accept, service="shop").url == f"http://[::1]:{six.getsockname()[1]}"
        assert Listener(four, accept, service="shop").url == f"http://127.0.0.1:{four.getsockname()[1]}"


async def test_it_accepts_until_it_is_closed(bound: socket.socket) -> None:
    greeter = Greeter()
    listener = Listener(bound, greeter, service="shop")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
            nursery.start_soon(listener.serve, connections)
            for _ in range(5):
                assert await greeted(listener.address) == b"!"
            listener.close(connections)
    assert listener.accepted == 5
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp(*listener.address)


async def test_V3_a_close_takes_the_connections_that_wait_in_the_kernels_queue(bound: socket.socket) -> None:
    greeter = Greeter()
    listener = Listener(bound, greeter, service="shop")
    waiting = [socket.create_connection(listener.address, 5) for _ in range(10)]
    try:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as connections:
                listener.close(connections)
        assert listener.accepted == 10
        assert [one.recv(1) for one in waiting] == [b"!"] * 10
    finally:
        for one in waiting:
            one.close()


async def test_a_second_close_does_nothing(bound: socket.socket) -> None:
    listener = Listener(bound, Greeter(), service="shop")
    async with anyio.create_task_group() as connections:
        listener.close(connections)
        listener.close(connections)
    assert "closed" in repr(listener)


async def test_serve_ends_at_once_when_it_was_closed_before(bound: socket.socket) -> None:
    listener = Listener(bound, Greeter(), service="shop")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as connections:
            listener.close(connections)
            await listener.serve(connections)


async def test_the_descriptor_may_be_used_again_right_after_a_close(bound: socket.socket) -> None:
    for _ in range(20):
        greeter = Greeter()
        listener = Listener(bind("127.0.0.1", 0, service="shop"), greeter, service="shop")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
                nursery.start_soon(listener.serve, connections)
                assert await greeted(listener.address) == b"!"
                listener.close(connections)
                ours, theirs = socket.socketpair()  # most likely gets the number that was just closed
                with ours, theirs:
                    ours.setblocking(False)
                    theirs.send(b"x")
                    await anyio.wait_readable(ours)
                    assert ours.recv(1) == b"x"


async def test_a_connection_whose_client_left_at_once_ends_nothing(bound: socket.socket) -> None:
    greeter = Greeter()
    listener = Listener(bound, greeter, service="shop")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
            gone = socket.create_connection(listener.address, 5)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()  # a reset
            nursery.start_soon(listener.serve, connections)
            assert await greeted(listener.address) == b"!"
            listener.close(connections)


class Busy(socket.socket):
    """A socket with somebody in its queue at any time."""

    asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        assert self.asked < 10_000, "it goes on accepting after its close"
        raise BlockingIOError


@pytest.mark.skipif(not UVLOOP, reason="uvloop is not installed")
def test_V3_a_close_ends_who_is_woken_in_each_turn_of_the_loop(bound: socket.socket) -> None:
    """uvloop wakes for a socket before it calls what is due, and a task that is woken already is not cancelled."""

    async def main() -> None:
        with Busy(fileno=bound.detach()) as busy, socket.create_connection(busy.getsockname(), 5):
            busy.setblocking(False)
            listener = Listener(busy, Greeter(), service="shop")
            async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
                nursery.start_soon(listener.serve, connections)
                while busy.asked < 10:
                    await anyio.lowlevel.checkpoint()
                listener.close(connections)
                await listener.wait_closed()

    anyio.run(main, backend="asyncio", backend_options={"use_uvloop": True})


class Exhausted(socket.socket):
    """A socket for which there are no descriptors a few times."""

    left = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_V4_accepting_pauses_and_recovers_when_descriptors_are_exhausted(
    bound: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    greeter = Greeter()
    with Exhausted(fileno=bound.detach()) as scarce:
        scarce.setblocking(False)
        listener = Listener(scarce, greeter, service="shop")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
                nursery.start_soon(listener.serve, connections)
                assert await greeted(listener.address) == b"!"
                listener.close(connections)
    assert scarce.left == 0
    assert not caplog.records


@pytest.mark.parametrize(("failures", "served"), [(3, 1), (1000, 0)])
async def test_V3_a_close_waits_a_while_for_descriptors_for_those_in_the_queue(
    bound: socket.socket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    served: int,
) -> None:
    monkeypatch.setattr("evox.serving.listener.PAUSE", 0.01)
    greeter = Greeter()
    with Exhausted(fileno=bound.detach()) as scarce:
        scarce.setblocking(False)
        listener = Listener(scarce, greeter, service="shop")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
                nursery.start_soon(listener.serve, connections)
                await anyio.wait_all_tasks_blocked()
                with socket.create_connection(listener.address, 5):
                    scarce.left = failures
                    listener.close(connections)
                    await listener.wait_closed()
    assert greeter.served == served
    assert [record.getMessage() for record in caplog.records] == [
        "connections waiting for shop were lost: out of descriptors"
    ] * (not served)


async def test_V4_what_a_client_sends_before_it_is_read_stays_with_the_client(bound: socket.socket) -> None:
    over, sent = anyio.Event(), 0

    async def idle(raw: socket.socket) -> None:
        async with WireStream(await open_wire(raw)):
            await over.wait()

    listener = Listener(bound, idle, service="shop")
    with anyio.fail_after(15):
        async with anyio.create_task_group() as connections, anyio.create_task_group() as nursery:
            nursery.start_soon(listener.serve, connections)
            with socket.create_connection(listener.address, 5) as client:
                client.setblocking(False)
                turns = 0
                while turns < 100 and sent < MUCH:  # turns of the loop in which nothing more was taken
                    try:
                        sent, turns = sent + client.send(bytes(1_000_000)), 0
                    except BlockingIOError:
                        turns += 1
                    await anyio.lowlevel.checkpoint()
                over.set()
            listener.close(connections)
    assert sent < MUCH
