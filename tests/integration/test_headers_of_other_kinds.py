"""Headers of an answer that are bytes of another kind, or pairs of another kind, are sent as they are elsewhere."""

from typing import Any

import pytest
from starlette.responses import JSONResponse, Response
from tests.lanes import running

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
