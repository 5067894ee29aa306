"""Headers of an answer that are bytes of another kind, or pairs of another kind, are sent as they are elsewhere."""

from typing import Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse
from tests.lanes import ONE_WAY, running

from evox import Service, service

pytestmark = pytest.mark.usefixtures("http1")


@pytest.mark.parametrize("pair", [[b"x-a", b"b"], (b"x-a", bytearray(b"b"))], ids=["list", "bytearray"])
@pytest.mark.parametrize("kind", [Response, JSONResponse])
async def test_a_header_need_not_be_a_tuple_of_bytes(kind: type[Response], pair: Any) -> None:
    svc: Service = service("odd")

    @svc.get("/")
    async def root() -> Response:
        response = kind(b"" if kind is Response else {})
        response.raw_headers.append(pair)
        return response

    async with running(svc, sockets=True, raise_errors=False) as env:
        answer = await env.client(svc).get("/")
    assert (answer.status_code, answer.headers.get("x-a")) == (200, "b")


@ONE_WAY  # hypercorn adds its own in any case, as uvicorn does
async def test_an_app_that_says_when_it_answered_says_it_alone() -> None:
    svc: Service = service("dated")
    said = "Sun, 06 Nov 1994 08:49:37 GMT"

    @svc.get("/")
    async def root() -> Response:
        return Response(b"x", headers={"date": said})

    @svc.get("/now")
    async def now() -> str:
        return "now"

    async with running(svc, sockets=True) as env:
        for path, count in (("/", 1), ("/now", 1), ("/", 1)):
            dates = (await env.client(svc).get(path)).headers.get_list("date")
            assert len(dates) == count
            assert (dates == [said]) is (path == "/")


@pytest.mark.parametrize("status", [100, 102, 103, 199])
async def test_a_status_that_comes_before_an_answer_is_none(status: int) -> None:
    """Its client would wait for the answer that has to follow, and the next one would be taken for it."""
    svc: Service = service("early")

    @svc.get("/")
    async def root() -> Response:
        return Response(status_code=status)

    @svc.get("/parts")
    async def parts() -> Response:
        return StreamingResponse(iter([b"a"]), status_code=status)

    async with running(svc, sockets=True, raise_errors=False) as env:
        for path in ("/", "/parts", "/"):
            assert (await env.client(svc).get(path)).status_code == 500
