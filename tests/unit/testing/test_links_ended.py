"""Links: an end is passed on as a half-close, or made by the link, and the other direction goes on."""

import random

import pytest
from tests.unit.testing.peers import Peer, echoing, joined, until

from evox.testing import LinkStatistics, tcp_faults
from evox.testing.connections import Side

BLOB = random.Random(7).randbytes(2_000_000)


async def test_the_end_of_one_side_is_a_half_close_for_the_other() -> None:
    async with joined() as (_, client, behind):
        client.end()
        assert await behind.receive() == b""
        await behind.send(b"still here")
        assert await client.exactly(10) == b"still here"
        behind.end()
        assert await client.receive() == b""


async def test_a_connection_is_closed_when_both_sides_have_ended() -> None:
    async with joined() as (link, client, behind):
        client.end()
        behind.end()
        assert (await client.receive(), await behind.receive()) == (b"", b"")
        await until(lambda: link.statistics().open == 0)
        assert link.statistics() == LinkStatistics(open=0, total=1, resets=0, bytes_up=0, bytes_down=0)


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_half_close_ends_one_direction_and_leaves_the_other(side: Side) -> None:
    async with joined() as (link, client, behind):
        told, other = (client, behind) if side == "client" else (behind, client)
        link.half_close(side)
        assert await told.receive() == b""
        await told.send(b"still open")
        assert await other.exactly(10) == b"still open"
        await other.send(BLOB)  # read and dropped: its sender is not held up
        other.end()
        told.end()
        assert await other.receive() == b""
        await until(lambda: link.statistics().open == 0)
        assert link.statistics().resets == 0


async def test_a_half_close_reaches_who_has_connected_just_before() -> None:
    async with echoing() as port, tcp_faults("127.0.0.1", port) as link:
        with Peer.to(link.port) as client:
            link.half_close("server")
            assert await client.receive() == b""


@pytest.mark.parametrize("ended", [True, False])
async def test_what_waits_for_a_side_that_is_half_closed_holds_the_connection_no_longer(ended: bool) -> None:
    async with joined() as (link, client, behind):
        link.up.latency = 3600
        await client.send(b"late")
        if ended:
            client.end()
        assert await behind.silent()
        link.half_close("server")
        assert await behind.receive() == b""
        if not ended:
            link.up.latency = 0
            client.end()
        behind.end()
        assert await client.receive() == b""
        await until(lambda: link.statistics().open == 0)
        assert (link.statistics().bytes_up, link.statistics().resets) == (0, 0)
