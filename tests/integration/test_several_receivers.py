"""Several tasks of a request may ask for what its client sends; who looks whether it is there takes nothing away."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.lanes import running

from evox import Request, Service, service

pytestmark = pytest.mark.usefixtures("http1")
Watch = Callable[[Request], Coroutine[Any, Any, None]]


async def polls(request: Request) -> None:
    while not await request.is_disconnected():  # noqa: ASYNC110  as handlers do it
        await anyio.sleep(0.01)


async def looks_once(request: Request) -> None:
    await request.is_disconnected()


def uploads(watch: Watch) -> Service:
    svc: Service = service("uploads")

    @svc.post("/")
    async def upload(request: Request) -> int:
        got = 0
        async with anyio.create_task_group() as group:
            group.start_soon(watch, request)
            async for part in request.stream():
                got += len(part)
                await anyio.sleep(0.02)  # what comes meanwhile lies there when somebody looks
            group.cancel_scope.cancel()
        return got

    return svc


async def parts() -> AsyncIterator[bytes]:
    for _ in range(3):
        await anyio.sleep(0.1)
        for _ in range(2):
            yield b"0123456789"
            await anyio.sleep(0.01)


@pytest.mark.parametrize("watch", [polls, looks_once])
@pytest.mark.parametrize("length", [None, "60"])
async def test_V2_who_looks_for_its_client_takes_nothing_from_who_reads_its_body(
    watch: Watch, length: str | None
) -> None:
    svc = uploads(watch)
    headers = {} if length is None else {"content-length": length}
    async with running(svc, sockets=True, settings={"serving": {"body_timeout": "3s"}}) as env:
        for _ in range(2):
            answer = await env.client(svc).post("/", content=parts(), headers=headers)
            assert (answer.status_code, answer.json()) == (200, 60)


async def test_V2_two_who_receive_get_different_parts_and_both_hear_of_the_end() -> None:
    svc: Service = service("uploads")
    got: list[int] = []

    @svc.post("/")
    async def upload(request: Request) -> int:
        async def reads() -> None:
            while True:
                message = await request.receive()
                got.append(len(message["body"]))
                if not message["more_body"]:
                    group.cancel_scope.cancel()
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(reads)
            group.start_soon(reads)
        return sum(got)

    async with running(svc, sockets=True, settings={"serving": {"body_timeout": "3s"}}) as env:
        answer = await env.client(svc).post("/", content=parts())
        assert (answer.status_code, answer.json()) == (200, 60)


async def test_V2_a_client_that_left_is_seen_by_who_looks_while_another_reads() -> None:
    svc: Service = service("uploads")
    seen = anyio.Event()

    @svc.post("/", on_disconnect="finish")
    async def upload(request: Request) -> None:
        async def looks() -> None:
            await polls(request)
            seen.set()

        async with anyio.create_task_group() as group:
            group.start_soon(looks)
            try:
                async for _ in request.stream():
                    pass
            except Exception:  # noqa: BLE001  its client has left
                pass

    async with running(svc, sockets=True, raise_errors=False) as env:
        host, port = env.url(svc).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n0123456789")
            await anyio.sleep(0.1)
        with anyio.fail_after(5):
            await seen.wait()


@pytest.mark.parametrize("unread", [0, 10, 60_000, 100_000])  # more would wait at the client's
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_V2_a_client_that_left_is_seen_by_who_looks_though_nothing_of_its_body_was_read(
    method: str, unread: int
) -> None:
    svc: Service = service("uploads")
    seen = anyio.Event()

    @svc.endpoint("/", methods=["GET", "POST"], on_disconnect="finish")
    async def upload(request: Request) -> None:
        await polls(request)
        seen.set()

    async with running(svc, sockets=True, raise_errors=False) as env:
        host, port = env.url(svc).removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(b"%b / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (method.encode(), unread))
            await stream.send(bytes(unread))
            await anyio.sleep(0.1)
            assert not seen.is_set()
        with anyio.fail_after(5):
            await seen.wait()
