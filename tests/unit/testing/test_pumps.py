"""Pumps: what is late, slow or stalled passes later, in order, and whole. Time is real here, and bounded from below."""

import time

import anyio
import pytest
from tests.unit.testing.peers import Listening, Peer, echoing

from evox.testing import tcp_faults

LATE = 0.05


async def test_bytes_are_late_by_the_latency_of_each_direction() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            for up, down in ((LATE, LATE), (LATE, 0), (0, LATE)):
                link.up.latency, link.down.latency = up, down
                began = time.monotonic()
                await client.send(b"hello")
                assert await client.exactly(5) == b"hello"
                assert time.monotonic() - began >= up + down - 0.001


async def test_the_end_of_a_stream_is_as_late_as_its_bytes() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            link.latency = LATE
            began = time.monotonic()
            client.end()
            assert await client.receive() == b""
            assert time.monotonic() - began >= 2 * LATE - 0.001


async def test_bytes_wait_for_their_latency_side_by_side() -> None:
    """A part that was late by the wait of each one before it would make latency a bandwidth."""
    with Listening() as server:
        async with tcp_faults("127.0.0.1", server.port) as link:
            link.up.latency = 0.15
            with Peer.to(link.port) as client, await server.accept() as behind:
                began = time.monotonic()
                for _ in range(20):
                    await client.send(b"part")
                    await anyio.sleep(0.002)
                assert await behind.exactly(80) == b"part" * 20
                assert 0.15 <= time.monotonic() - began < 10 * 0.15


async def test_what_waits_passes_at_once_when_the_latency_is_taken_away() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            link.latency = 3600
            await client.send(b"hello")
            assert await client.silent()
            link.latency = 0
            assert await client.exactly(5) == b"hello"


async def test_bytes_pass_no_faster_than_the_bandwidth() -> None:
    with Listening() as server:
        async with tcp_faults("127.0.0.1", server.port) as link:
            link.bandwidth = 50_000
            with Peer.to(link.port) as client, await server.accept() as behind:
                for sender, receiver in ((client, behind), (behind, client)):
                    began = time.monotonic()
                    await sender.send(b"x" * 10_000)
                    assert len(await receiver.exactly(10_000)) == 10_000
                    assert time.monotonic() - began >= 10_000 / 50_000 - 0.05  # two parts come without a wait


async def test_a_bandwidth_that_changes_acts_on_what_waits() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            await client.send(b"y" * 100_000)  # passes before there is a limit, and does not count
            assert await client.exactly(100_000) == b"y" * 100_000
            link.bandwidth = 0.001
            await client.send(b"hello")
            assert await client.exactly(1) == b"h"
            assert await client.silent()
            link.bandwidth = 1_000_000
            assert await client.exactly(4) == b"ello"


async def test_nothing_passes_a_stall_and_everything_passes_after_it() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as open_before:
            await open_before.send(b"1")
            assert await open_before.receive() == b"1"
            link.stall()
            with Peer.to(link.port) as new:
                for peer in (open_before, new):
                    await peer.send(b"hello")
                    peer.end()
                    assert await peer.silent()
                link.flow()
                for peer in (open_before, new):
                    assert await peer.rest() == b"hello"


async def test_one_direction_may_stall_alone() -> None:
    with Listening() as server:
        async with tcp_faults("127.0.0.1", server.port) as link:
            with Peer.to(link.port) as client, await server.accept() as behind:
                link.down.stall()
                await client.send(b"request")
                assert await behind.exactly(7) == b"request"
                await behind.send(b"answer")
                assert await client.silent()
                link.down.flow()
                assert await client.exactly(6) == b"answer"


async def test_a_stall_hides_that_the_server_is_down_until_it_flows() -> None:
    with Listening() as server:
        port = server.port
    async with tcp_faults("127.0.0.1", port) as link:
        link.stall()
        with Peer.to(link.port) as client:
            assert await client.silent()
            link.flow()
            with pytest.raises(ConnectionResetError):
                await client.receive()


async def test_a_limit_holds_for_megabytes_in_order() -> None:
    data = bytes(range(256)) * 2_000
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        link.latency, link.bandwidth = 0.01, 10_000_000
        with Peer.to(link.port) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.send, data)
                assert await client.exactly(len(data)) == data
