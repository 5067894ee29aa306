"""Links: each fault is the kernel's own, seen with plain sockets by the client and by the server behind the link."""

import random
import socket

import anyio
import pytest
from tests.unit.testing.peers import Listening, Peer, echoing, joined

from evox.testing import tcp_faults

BLOB = random.Random(7).randbytes(2_000_000)


async def test_two_megabytes_pass_unchanged_in_both_directions_at_once() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            async with anyio.create_task_group() as group:

                async def send() -> None:
                    await client.send(BLOB)
                    client.end()

                group.start_soon(send)
                assert await client.rest() == BLOB
        counts = link.statistics()
        assert (counts.bytes_up, counts.bytes_down, counts.resets) == (len(BLOB), len(BLOB), 0)


async def test_a_reset_is_a_reset_for_both_sides_and_no_end() -> None:
    async with joined() as (link, client, behind):
        link.reset()
        for peer in (client, behind):
            with pytest.raises(ConnectionResetError):
                await peer.receive()
        assert (link.statistics().open, link.statistics().resets) == (0, 1)


async def test_a_reset_reaches_who_has_connected_just_before() -> None:
    """The kernel accepts before the link does, and a client that is connected is not to be missed."""
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            link.reset()
            with pytest.raises(ConnectionResetError):
                await client.receive()
        with Peer.to(link.port) as client:
            await client.send(b"later")
            assert await client.exactly(5) == b"later"


@pytest.mark.parametrize("held", ["stalled", "delayed", "slow", "full"])
async def test_a_reset_acts_at_once_on_a_connection_that_waits(held: str) -> None:
    async with joined() as (link, client, behind):
        if held == "stalled":
            link.stall()
        elif held == "delayed":
            link.latency = 3600
        elif held == "slow":
            link.bandwidth = 0.001
        with anyio.move_on_after(0.1):
            await client.send(BLOB * 10 if held == "full" else b"some bytes")
            await anyio.sleep_forever()
        link.reset()
        with pytest.raises(ConnectionResetError):
            await client.receive()
        with pytest.raises(ConnectionResetError):
            await behind.rest()


async def test_a_reset_by_one_side_is_a_reset_for_the_other() -> None:
    for breaks, sees in ((1, 2), (2, 1)):
        async with joined() as ends:
            link, peer, other = ends[0], ends[breaks], ends[sees]
            assert isinstance(peer, Peer)
            assert isinstance(other, Peer)
            await other.send(b"unread")
            await anyio.wait_readable(peer.socket)
            peer.socket.close()  # what is unread makes it a reset
            with pytest.raises(ConnectionResetError):
                await other.receive()
            assert link.statistics().resets == 1


async def test_a_server_that_is_down_is_a_reset_for_the_client() -> None:
    with Listening() as server:
        port = server.port
    async with tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client, pytest.raises(ConnectionResetError):
            await client.receive()


async def test_who_is_refused_is_reset_until_the_link_accepts_and_who_is_in_stays() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as stays:
            link.refuse()
            with Peer.to(link.port) as refused, pytest.raises(ConnectionResetError):
                await refused.receive()
            with Peer.to(link.port) as late:
                link.accept()
                with pytest.raises(ConnectionResetError):
                    await late.receive()
            with Peer.to(link.port) as client:
                for peer in (stays, client):
                    await peer.send(b"hello")
                    assert await peer.exactly(5) == b"hello"
        assert (link.statistics().total, link.statistics().resets) == (4, 2)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("size", [0, 1, 100_000, 1_500_000])
async def test_a_connection_is_cut_after_just_so_many_bytes_of_answer(size: int, late: bool) -> None:
    """A client that reads late lost what the kernel had not sent yet."""
    with Listening() as server:
        async with tcp_faults("127.0.0.1", server.port) as link:
            link.cut_after(size)
            with Peer.to(link.port, buffer=4096) as client, await server.accept() as behind:
                await client.send(b"request")
                assert await behind.exactly(7) == b"request"
                async with anyio.create_task_group() as group:

                    async def answer() -> None:
                        with pytest.raises(ConnectionError):
                            await behind.send(BLOB * 10)

                    group.start_soon(answer)
                    await anyio.sleep(0.1 if late else 0)
                    assert await client.exactly(size) == BLOB[:size]
                    with pytest.raises(ConnectionResetError):
                        await client.receive()
            assert (link.statistics().bytes_down, link.statistics().resets) == (size, 1)


async def test_only_connections_made_while_cuts_are_asked_for_are_cut() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as before:
            link.cut_after(3)
            with Peer.to(link.port) as cut:
                link.cut_after(None)
                with Peer.to(link.port) as after:
                    for peer in (before, cut, after):
                        await peer.send(b"hello")
                    assert (await before.exactly(5), await after.exactly(5)) == (b"hello", b"hello")
                    assert await cut.exactly(3) == b"hel"
                    with pytest.raises(ConnectionResetError):
                        await cut.receive()


@pytest.mark.parametrize("fault", ["none", "delayed", "slow"])
async def test_who_writes_faster_than_the_other_side_reads_is_made_to_wait(fault: str) -> None:
    with Listening() as server:
        async with tcp_faults("127.0.0.1", server.port) as link:
            with Peer.to(link.port, buffer=65536) as client, await server.accept() as behind:
                behind.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                if fault == "delayed":
                    link.latency = 3600
                elif fault == "slow":
                    link.bandwidth = 1000
                sent = 0
                while not await client.full():
                    sent += client.socket.send(BLOB[:10_000])
                assert 0 < sent < 1_500_000  # in the small buffers of the kernel, and in the link
                link.latency, link.bandwidth = 0, None
                assert len(await behind.exactly(sent)) == sent


async def test_a_name_with_several_addresses_is_tried_until_one_answers() -> None:
    async with echoing() as port, tcp_faults("localhost", port) as link:
        with Peer.to(link.port) as client:
            await client.send(b"hello")
            assert await client.exactly(5) == b"hello"


async def test_what_cannot_be_is_refused() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        for seconds in (-1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="latency is"):
                link.latency = seconds
        for rate in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="bandwidth is"):
                link.bandwidth = rate
        with pytest.raises(ValueError, match="cut_after takes"):
            link.cut_after(-1)
        with pytest.raises(ValueError, match="half_close takes"):
            link.half_close("both")  # type: ignore[arg-type]


async def test_it_tells_what_is_wrong_with_it() -> None:
    async with joined() as (link, _, _):
        assert link.url == f"http://127.0.0.1:{link.port}"
        link.refuse()
        link.down.stall()
        link.up.latency, link.up.bandwidth = 0.5, 1000
        assert (link.latency, link.bandwidth) == (0.5, 1000)
        assert "1 open, refusing, up <Lane 0.5 s late, 1000 bytes/s" in repr(link)
        assert "down <Lane stalled, 0 s late, unlimited" in repr(link)
