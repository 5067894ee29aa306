"""X5: what is asked once, streams and what a service can do, is asked of no service that is left alone either."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from tests.unit.service_proxy.scripted import OK, Scripted, cut, refused, status

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallError, CallFailed, CallTimeout, CircuitOpen
from evox.service_proxy import NoAnswer, Reply, Sending, Switchboard
from evox.service_proxy.calling import Line
from evox.services.encoding import Wire
from evox.services.operations import Operation, Operations
from evox.testing import run_virtual, running


class Items:
    """A stream of one number."""

    media = "application/jsonl"

    def __init__(self) -> None:
        self.parts = deque([b"1\n"])

    async def receive(self) -> bytes | None:
        """Return the next part."""
        return self.parts.popleft() if self.parts else None

    async def aclose(self) -> None:
        """Read no more."""


@dataclass
class Peer(Scripted):
    """A target of which nothing is known before it is asked.

    Attributes:
        silence: Why it does not say what it can do; None if it does.
        asked: How often it was asked that.
        begins: How streams begin; None for one of one item.
    """

    silence: NoAnswer | None = None
    asked: int = 0
    begins: Reply | NoAnswer | None = None
    streams: list[float] = field(default_factory=list)

    async def operations(self, sending: Sending) -> Operations:
        """Return what it can do, if it says so."""
        self.asked += 1
        if self.silence is not None:
            raise self.silence
        return await super().operations(sending)

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> Any:
        """Begin a stream, or do not."""
        self.streams.append(anyio.current_time())
        if isinstance(self.begins, NoAnswer):
            raise self.begins
        return Items() if self.begins is None else self.begins


@asynccontextmanager
async def calling(peer: Peer) -> AsyncIterator[Line]:
    async with running(ServiceBuilder("orders")) as env:
        board: Switchboard = env._board
        board.fake(peer)
        yield board.line("users")


async def read(times: int = 1) -> list[Any]:
    """Read a stream so often, and return its items or its error."""
    found: list[Any] = []
    for _ in range(times):
        try:
            found.append([item async for item in proxy.users.read()])
        except CallError as error:
            found.append(error)
    return found


async def test_X5_a_service_that_does_not_say_what_it_can_do_is_left_alone_after_ten_calls() -> None:
    """It was asked by each call, however long that took, and no call was counted."""
    peer = Peer([OK], silence=refused())
    async with calling(peer) as line:
        for number in range(200):
            with pytest.raises(CircuitOpen if number >= 10 else CallFailed) as caught:
                await proxy.users.read()
            assert not caught.value.may_have_run
        assert await proxy.users.read().with_fallback(0) == 0
        known = line.statistics()
        assert (known.calls, known.failed, known.breaker.state) == (201, 201, "open")
    assert (peer.asked, peer.sent) == (10, [])


def test_X5_it_is_asked_again_once_and_the_call_itself_is_the_probe() -> None:
    async def main() -> None:
        peer = Peer([status(500)], silence=refused())
        async with calling(peer) as line:
            for _ in range(10):
                assert await proxy.users.read().with_fallback(0) == 0
            peer.silence = None
            await anyio.sleep(5)
            assert await proxy.users.read().with_fallback(0) == 0
            assert (peer.asked, len(peer.sent)) == (11, 1)
            assert line.statistics().breaker.opens_for == 10
            peer.answers = [OK]
            await anyio.sleep(10)
            assert await proxy.users.read() == 1
            assert line.statistics().breaker.state == "closed"

    run_virtual(main)


async def test_X5_a_peer_that_says_that_it_does_not_tell_is_not_left_alone() -> None:
    peer = Peer([OK], silence=NoAnswer("GET /x was answered with 404", sent=False, final=True))
    async with calling(peer) as line:
        for _ in range(20):
            with pytest.raises(CallFailed, match="404"):
                await proxy.users.read()
        assert line.statistics().breaker.state == "closed"
    assert peer.asked == 20


async def test_X5_streams_are_counted_and_what_they_begin_with_says_whether_the_service_answers() -> None:
    peer = Peer([OK])
    async with calling(peer) as line:
        assert await read(10) == [[1]] * 10
        known = line.statistics()
        assert (known.calls, known.failed, known.breaker.calls, known.breaker.failed) == (10, 0, 10, 0)


@pytest.mark.parametrize("begins", [status(500), status(503), refused(), cut()], ids=str)
async def test_X5_streams_that_do_not_begin_are_not_tried_again_and_the_service_is_left_alone(begins: Any) -> None:
    peer = Peer([OK], begins=begins)
    async with calling(peer) as line:
        found = await read(30)
        assert {type(error) for error in found[10:]} == {CircuitOpen}
        assert len(peer.streams) == 10
        known = line.statistics()
        assert (known.calls, known.failed, known.retries, known.breaker.state) == (30, 30, 0, "open")
        with pytest.raises(CircuitOpen):
            await proxy.users.read()


async def test_X5_refusals_of_streams_and_callers_without_time_say_nothing_of_a_service() -> None:
    peer = Peer([OK], begins=status(404))
    async with calling(peer) as line:
        found = await read(20)
        assert {getattr(error, "code", None) for error in found} == {404}
        with pytest.raises(CallTimeout):
            async for _ in proxy.users.read().with_timeout(0):
                pass
        assert line.statistics().breaker.calls == 0
    assert len(peer.streams) == 20


def test_X3_the_time_in_which_a_service_was_asked_what_it_can_do_is_of_the_calls_time() -> None:
    class Slow(Peer):
        async def operations(self, sending: Sending) -> Operations:
            await anyio.sleep(40)
            return await super().operations(sending)

    async def main() -> None:
        peer = Slow([status(503), OK])
        async with calling(peer) as line:
            began = anyio.current_time()
            assert await proxy.users.read().with_timeout(60) == 1
            assert next(sending.deadline - when for when, sending in peer.sent) == pytest.approx(20)
            assert line.statistics().breaker.calls == 2
            await anyio.sleep_until(began + 60)
            assert line.statistics().breaker.calls == 2

    run_virtual(main)
