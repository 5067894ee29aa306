"""Links: leaving the block of one, in whatever way, leaves no task and no descriptor."""

from contextlib import ExitStack

import anyio
import anyio.lowlevel
import pytest
from tests.unit.testing.peers import Listening, Peer, descriptors, echoing, until

from evox.failures import causes
from evox.testing import tcp_faults


def tasks() -> set[int]:
    return {task.id for task in anyio.get_running_tasks()}


@pytest.mark.parametrize("fault", ["none", "stalled", "delayed", "slow", "refusing"])
async def test_nothing_is_left_after_the_block(fault: str) -> None:
    async with echoing() as port:
        files, running = descriptors(), tasks()
        with ExitStack() as clients:
            async with tcp_faults("127.0.0.1", port) as link:
                peers = [clients.enter_context(Peer.to(link.port)) for _ in range(5)]
                await peers[0].send(b"x")
                await peers[0].receive()
                if fault == "stalled":
                    link.stall()
                elif fault == "delayed":
                    link.latency = 3600
                elif fault == "slow":
                    link.bandwidth = 0.01
                elif fault == "refusing":
                    link.refuse()
                for peer in peers:
                    await peer.send(b"some bytes")
            assert link.statistics().open == 0
            for peer in peers:
                try:
                    await peer.rest()
                except ConnectionResetError:
                    continue
            link.reset()  # has nobody to reset
            link.stall()
        await until(lambda: tasks() == running)  # the echoes of connections that are closed now
        assert descriptors() == files


async def test_fifty_connections_are_gone_when_the_block_is_cancelled() -> None:
    async with echoing() as port:
        files, running = descriptors(), tasks()
        with ExitStack() as clients:
            with anyio.CancelScope() as scope:
                async with tcp_faults("127.0.0.1", port) as link:
                    for number in range(50):
                        peer = clients.enter_context(Peer.to(link.port))
                        await peer.send(b"x" * 100_000)
                        if number == 25:
                            link.latency = 3600
                    assert link.statistics().open > 0
                    scope.cancel()
                    await anyio.sleep_forever()
            assert scope.cancelled_caught
            assert link.statistics().open == 0
        await until(lambda: tasks() == running)
        assert descriptors() == files


@pytest.mark.parametrize("moment", range(12))
async def test_it_may_be_cancelled_at_any_moment(moment: int) -> None:
    with Listening() as server:
        files, running = descriptors(), tasks()
        with ExitStack() as clients, anyio.CancelScope() as scope:
            async with tcp_faults("127.0.0.1", server.port) as link, anyio.create_task_group() as group:

                async def cancel() -> None:
                    for _ in range(moment):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                group.start_soon(cancel)
                for _ in range(50):
                    clients.enter_context(Peer.to(link.port))
                    link.accept()
                    await anyio.lowlevel.checkpoint()
                await anyio.sleep_forever()
        assert (descriptors(), tasks()) == (files, running)
        assert link.statistics().open == 0


async def test_connections_taken_just_before_the_block_is_left_are_closed_too() -> None:
    with Listening() as server:
        files = descriptors()
        with ExitStack() as clients:
            async with tcp_faults("127.0.0.1", server.port) as link:
                for _ in range(10):
                    clients.enter_context(Peer.to(link.port))
                link.accept()
                assert link.statistics().open == 10
            assert link.statistics().open == 0
        assert descriptors() == files


@pytest.mark.parametrize("error", [KeyError("mine"), ExceptionGroup("mine", [KeyError("one of mine")])])
async def test_the_error_of_the_block_is_raised_as_it_is(error: Exception) -> None:
    cause = OSError("cause")

    async def block() -> None:
        with Listening() as server:
            async with tcp_faults("127.0.0.1", server.port) as link:
                link.accept()
                raise error from cause

    with pytest.raises(type(error)) as caught:
        await block()
    assert list(causes(caught.value)) == list(causes(error))
    assert repr(caught.value) == repr(error)  # trio makes a group anew, and the same
    assert caught.value.__cause__ is cause
