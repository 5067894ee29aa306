"""Links between a client of HTTP and a real service: what each fault is for httpx2."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from tests.unit.testing.peers import until

from evox import ServiceBuilder
from evox.testing import FaultyLink, running, tcp_faults

SIZE = 200_000


@asynccontextmanager
async def linked(*, timeout: float = 10) -> AsyncIterator[tuple[FaultyLink, httpx2.AsyncClient]]:
    """Yield a link in front of a service, and a client that sends its requests to the link."""
    svc = ServiceBuilder("shop")

    @svc.get("/hello")
    async def hello() -> str:
        return "hello"

    @svc.get("/big")
    async def big() -> str:
        return "x" * SIZE

    async with running(svc, sockets=True) as env:
        port = httpx2.URL(env.url(svc)).port
        assert port is not None
        async with (
            tcp_faults("127.0.0.1", port) as link,
            httpx2.AsyncClient(base_url=link.url, trust_env=False, timeout=timeout) as client,
        ):
            assert (await client.get("/hello")).json() == "hello"
            yield link, client


async def test_a_request_takes_as_long_as_both_latencies() -> None:
    async with linked() as (link, client):
        link.latency = 0.03
        began = time.monotonic()
        assert (await client.get("/hello")).json() == "hello"
        assert time.monotonic() - began >= 0.06 - 0.001


async def test_an_answer_takes_as_long_as_the_bandwidth_says() -> None:
    async with linked() as (link, client):
        link.bandwidth = 1_000_000
        began = time.monotonic()
        assert len((await client.get("/big")).json()) == SIZE
        assert time.monotonic() - began >= SIZE / 1_000_000 - 0.05


async def test_a_reset_while_a_request_waits_is_a_read_error_and_the_next_one_works() -> None:
    async with linked() as (link, client), anyio.create_task_group() as group:

        async def reset() -> None:
            await anyio.sleep(0.05)
            link.reset()

        link.down.stall()
        group.start_soon(reset)
        with pytest.raises(httpx2.ReadError):
            await client.get("/hello")
        link.flow()
        assert (await client.get("/hello")).json() == "hello"


async def test_a_stall_is_a_timeout_and_what_follows_it_works() -> None:
    async with linked(timeout=0.1) as (link, client):
        link.stall()
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/hello")
        link.flow()
        assert (await client.get("/hello", timeout=10)).json() == "hello"


async def test_a_refused_connection_is_an_error_until_the_link_accepts() -> None:
    async with linked() as (link, client):
        link.refuse()
        link.reset()
        await until(lambda: link.statistics().open == 0)
        with pytest.raises(httpx2.TransportError):
            await client.get("/hello")
        link.accept()
        assert (await client.get("/hello")).json() == "hello"


async def test_an_answer_that_is_cut_is_an_error_in_the_middle_of_its_body() -> None:
    async with linked() as (link, client):
        link.reset()
        await until(lambda: link.statistics().open == 0)
        link.cut_after(SIZE // 2)
        got = list[bytes]()

        async def read() -> None:
            async with client.stream("GET", "/big") as answer:
                assert answer.status_code == 200
                async for part in answer.aiter_bytes():
                    got.append(part)

        with pytest.raises(httpx2.ReadError):
            await read()
        assert 0 < len(b"".join(got)) < SIZE // 2
        link.cut_after(None)
        assert len((await client.get("/big")).json()) == SIZE


async def test_an_end_in_place_of_an_answer_is_a_server_that_has_left() -> None:
    async with linked() as (link, client), anyio.create_task_group() as group:

        async def end() -> None:
            await anyio.sleep(0.05)
            link.half_close("client")

        link.down.stall()
        group.start_soon(end)
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/hello")
