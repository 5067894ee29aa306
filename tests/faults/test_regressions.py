"""What once broke, each with what must hold instead."""

from typing import Annotated, Any

import anyio
import pytest
from tests.lanes import running

from evox import Depends, Request, Service, ServiceBuilder, WebSocket, inject
from evox.config import ServingSettings
from evox.orchestrator import Fleet
from evox.runtime import State
from evox.services import Scope
from evox.testing import virtual_trio


class Clock:
    def now(self) -> int:
        return 7


def by_default(clock: Clock = inject(Clock)) -> int:
    return clock.now()


def by_annotation(clock: Annotated[Clock, inject(Clock)]) -> int:
    return clock.now()


@pytest.mark.parametrize("dependency", [by_default, by_annotation])
async def test_inject_works_in_the_parameters_of_a_dependency(dependency: Any) -> None:
    """It was refused, with an error that blamed the endpoint's own parameter."""
    svc = ServiceBuilder("a")

    @svc.get("/x")
    async def x(now: int = Depends(dependency)) -> int:
        return now

    async with running(svc) as env:
        assert (await env.client(svc).get("/x")).json() == 7


async def test_inject_works_in_the_parameters_of_a_websocket() -> None:
    svc = ServiceBuilder("a")

    @svc.websocket("/ws")
    async def ws(socket: WebSocket, clock: Annotated[Clock, inject(Clock)]) -> None:
        await socket.accept()
        await socket.send_text(str(clock.now()))

    async with running(svc) as env, env.websocket(svc, "/ws") as socket:
        assert await socket.receive() == "7"


def reading_and_not() -> Service:
    svc = ServiceBuilder("a")

    @svc.post("/unread")
    async def unread() -> str:
        return "unread"

    @svc.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    return svc


@pytest.mark.usefixtures("http1")
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_an_unread_body_costs_no_later_request_of_its_client(size: int) -> None:
    """The connection was closed without a word, and the client's next request on it was lost."""
    async with running(reading_and_not(), sockets=True) as env:
        client = env.client("a")
        for _ in range(10):
            reply = await client.post("/unread", content=b"x" * size)
            assert reply.status_code == 200
            if size > 65_536:  # a small one may have come whole by then, and costs nothing
                assert reply.headers["connection"] == "close"
            assert (await client.get("/health")).status_code == 200


@pytest.mark.usefixtures("http1")
async def test_a_body_that_was_read_keeps_the_connection() -> None:
    async with running(reading_and_not(), sockets=True) as env:
        reply = await env.client("a").post("/read", content=b"x" * 1000)
        assert (reply.json(), reply.headers.get("connection")) == (1000, None)


class TestDrains:
    @pytest.fixture
    def anyio_backend(self) -> Any:
        return virtual_trio()

    async def test_R3_a_drain_that_begins_during_a_backoff_starts_no_new_life(self) -> None:
        """The restart came within the drain, could not go from DRAINING to STARTING, and made the exit code 1."""
        svc = ServiceBuilder("a").restart(backoff=1)
        starts: list[float] = []

        @svc.on_startup
        async def count() -> None:
            starts.append(anyio.current_time())

        @svc.background_task(on_error="fail_service", start_after=1)
        async def crash() -> None:
            raise ValueError("crash")

        fleet = Fleet([svc], Scope())
        async with fleet.started():
            await fleet.hosts[0].lifecycle.wait_state(State.RESTARTING)
            await anyio.sleep(0.1)
            fleet.hosts[0].drain()
            await anyio.sleep(5)
            assert (await fleet.drain(ServingSettings())).clean
        assert (len(starts), fleet.hosts[0].stop_error) == (1, None)


@pytest.mark.usefixtures("http1")
async def test_a_websocket_refused_for_what_its_client_sent_too_early_is_no_failure_of_the_service() -> None:
    """The handler's accept failed behind the refusal: a client could fill the log with tracebacks."""
    svc = ServiceBuilder("a")

    @svc.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    head = (
        b"GET /talk HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    )
    async with running(svc, sockets=True) as env:
        host, _, port = env.url("a").removeprefix("http://").partition(":")
        for _ in range(30):
            async with await anyio.connect_tcp(host, int(port)) as client:
                await client.send(head + b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85\0\0\0\0hello")
                assert (await client.receive()).startswith(b"HTTP/1.1 400")
        await env.host("a").inflight.wait_idle()
        assert env.host("a").inflight.statistics().failed == 0
