"""Errors as a client without sockets sees them: an answer, or the real error where it asks for that."""

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from fastapi.responses import StreamingResponse

from evox import Service, ServiceBuilder
from evox.testing import running

CHUNKS = 300  # more than any buffer between app and client holds


def failing_midway(status: int) -> Service:
    svc = ServiceBuilder("failing")

    @svc.get("/x")
    async def fails() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError("the real error")

        return StreamingResponse(parts(), status)

    return svc


@pytest.mark.parametrize("raise_errors", [True, False])
async def test_a_client_raises_a_handlers_error_only_when_asked_to(raise_errors: bool) -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(lambda: 1 / 0)
    async with running(svc) as env:
        client = env.client(svc, raise_errors=raise_errors)
        if raise_errors:
            with pytest.raises(ZeroDivisionError):
                await client.get("/x")
        else:
            assert (await client.get("/x")).status_code == 500
        assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_an_error_that_the_service_answered_itself_is_not_raised(status: int) -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(lambda: ({"error": "known"}, status))
    async with running(svc) as env:
        assert (await env.client(svc, raise_errors=True).get("/x")).status_code == status


@pytest.mark.parametrize("status", [200, 503])
async def test_an_error_in_the_middle_of_an_answer_is_raised_when_asked_to(status: int) -> None:
    async with running(failing_midway(status)) as env:
        with pytest.raises(ValueError, match="the real error"):
            await env.client("failing", raise_errors=True).get("/x")


async def test_an_answer_that_breaks_off_does_not_look_complete() -> None:
    """Over a socket a client of httpx2 would see a protocol error; so it does here."""
    async with running(failing_midway(200)) as env:
        with pytest.raises(httpx2.RemoteProtocolError):
            await env.client("failing").get("/x")


async def test_a_long_answer_with_an_error_status_is_read_by_a_client_that_raises_errors() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/x")
    async def long() -> StreamingResponse:
        return StreamingResponse(iter([b"abc"] * CHUNKS), 503)

    async with running(svc) as env:
        with anyio.fail_after(5):
            assert (await env.client(svc, raise_errors=True).get("/x")).content == b"abc" * CHUNKS
