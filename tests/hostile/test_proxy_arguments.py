"""X2: a value stays the value that it is, wherever it stands in a call; it becomes no path, header, field or cookie."""

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import pytest
from fastapi import UploadFile
from pydantic import BaseModel
from starlette.datastructures import Headers

from evox import Body, Cookie, File, Form, Header, Query, Request, ServiceBuilder
from evox.core import proxy
from evox.errors import CallError, InvalidCall, UnknownOperation
from evox.services.encoding import Encoder
from evox.services.operations import Argument, Operation
from evox.testing import spread

Where = Literal["in-process", "loopback"]
both = pytest.mark.parametrize("where", ["in-process", "loopback"])
TEXTS = [
    "a/b",
    "/etc/passwd",
    "..",
    "../secret",
    "..\\secret",
    ".",
    "%2e%2e",
    "%2f",
    "%252f",
    "..%2fsecret",
    "secret",
    "secret?x=1",
    "secret#",
    "secret;a=b",
    "?admin=1",
    "#",
    "&admin=1",
    "a&admin=true&b",
    "a=b",
    "a+b c",
    "",
    " ",
    "\t",
    "\r\n",
    "a\r\nx-evil: 1",
    "a\nb",
    "a\x00b",
    "\x0b",
    "\x7f",
    "\x85",
    "\u2028",
    "\uff0e\uff0e",
    "\uff0fsecret",
    "e\u0301",
    "\u00e9",
    "\u212a",
    "\ud800",
    "\U0001f600",
    "{secret}",
    "{path:path}",
    "//evil.example/x",
    "http://evil.example/",
    "@evil.example",
    ":443",
    "x" * 70_000,
    "\u20ac" * 9_000,
    '"; name="admin',
    "--boundary--",
]


class Fields(BaseModel):
    word: str = "-"
    admin: bool = False


def callee() -> ServiceBuilder:
    svc = ServiceBuilder("callee")
    _add_heads(svc)
    _add_bodies(svc)

    @svc.get("/secret")
    async def secret() -> str:
        return "secret"

    @svc.get("/in-path")
    async def above() -> str:
        return "secret"

    return svc


def _add_heads(svc: ServiceBuilder) -> None:
    @svc.get("/in-path/{text}")
    async def in_path(text: str, request: Request) -> list[str]:
        return [text, *request.query_params.keys()]

    @svc.get("/in-long-path/{text:path}")
    async def in_long_path(text: str, request: Request) -> list[str]:
        return [text, *request.query_params.keys()]

    @svc.get("/in-query")
    async def in_query(text: str, admin: Annotated[bool, Query()] = False) -> list[Any]:
        return [text, *([admin] if admin else [])]

    @svc.get("/in-header")
    async def in_header(text: Annotated[str, Header()], x_evil: Annotated[str, Header()] = "") -> list[str]:
        return [text, *([x_evil] if x_evil else [])]

    @svc.get("/in-cookie")
    async def in_cookie(text: Annotated[str, Cookie()], request: Request) -> list[str]:
        return [text, *(set(request.cookies) - {"text"})]


def _add_bodies(svc: ServiceBuilder) -> None:
    @svc.post("/in-body")
    async def in_body(text: Annotated[str, Body(embed=True)], request: Request) -> list[str]:
        media = request.headers["content-type"]
        return [text, *([media] if media != "application/json" else [])]

    @svc.post("/in-form")
    async def in_form(text: Annotated[str, Form()], request: Request) -> list[str]:
        return [text, *(set((await request.form()).keys()) - {"text"})]

    @svc.post("/in-multipart")
    async def in_multipart(text: Annotated[str, Form()], file: Annotated[bytes, File()], request: Request) -> list[str]:
        return [text, *(set((await request.form()).keys()) - {"text", "file"})]

    @svc.post("/in-filename")
    async def in_filename(file: UploadFile, request: Request) -> list[str]:
        return [file.filename or "", *(set((await request.form()).keys()) - {"file"})]


@asynccontextmanager
async def placed(where: Where) -> AsyncIterator[None]:
    async with spread(where, ServiceBuilder("asker"), callee(), settings={"proxy": {"attempts": 1}}):
        yield


async def arriving(call: Any) -> Any:
    """Return what arrived; None if it was refused: before it was sent, or as too long, or as nothing."""
    try:
        return await call
    except InvalidCall:
        return None
    except CallError as error:
        if error.code in (400, 413, 422, 431):
            return None
        raise


@both
@pytest.mark.parametrize(
    "operation",
    ["in_path", "in_long_path", "in_query", "in_header", "in_cookie", "in_body", "in_form", "in_multipart"],
)
async def test_X2_a_text_arrives_as_it_is_or_is_not_sent(where: Where, operation: str) -> None:
    more = {"file": b"1"} if operation == "in_multipart" else {}
    arrived = 0
    async with placed(where):
        for text in TEXTS:
            found = await arriving(getattr(proxy.callee, operation)(text=text, **more))
            assert found in ([text], None), text[:40]
            arrived += found is not None
    assert arrived >= 10


@both
async def test_X2_a_file_is_one_field_whatever_it_is_called(where: Where) -> None:
    async with placed(where):
        for name in [text for text in TEXTS if text]:
            found = await arriving(proxy.callee.in_filename(UploadFile(io.BytesIO(b"1"), filename=name)))
            assert found is None or len(found) == 1, name[:40]


@both
@pytest.mark.parametrize("media", ["a/b\r\nx-evil: 1", "a/b\nx", "a/b\r\n\r\n--x", "a/b\0"])
async def test_X2_a_file_that_says_more_than_its_type_is_refused(where: Where, media: str) -> None:
    """It was refused by the client's library, with an error that no caller of another service expects."""
    async with placed(where):
        headers = Headers(raw=[(b"content-type", media.encode())])
        with pytest.raises(InvalidCall, match="content type"):
            await proxy.callee.in_filename(UploadFile(io.BytesIO(b"1"), filename="a.txt", headers=headers))


@both
async def test_X1_a_name_that_came_from_anywhere_is_that_of_an_operation_or_of_nothing(where: Where) -> None:
    async with placed(where):
        for name in TEXTS:
            if name.isidentifier() or name.startswith("_"):
                continue
            with pytest.raises((UnknownOperation, InvalidCall)):
                await getattr(proxy.callee, name)()
        for name in ("_value", "_service_", "__evox__"):
            with pytest.raises(AttributeError):
                getattr(proxy.callee, name)


RESERVED = (
    "authorization",
    "cookie",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "traceparent",
    "idempotency-key",
    "x-evox-priority",
    "x-evox-deadline",
)


@pytest.mark.parametrize("name", [*RESERVED, "X-Evox-Priority", "x\r\ny", "x y", "x:", "", "\u00e9", "x\0"])
async def test_A6_no_argument_is_a_header_of_the_call_itself(name: str) -> None:
    """A description that a hostile peer gives may call its arguments so, and a model of headers may be a dict."""
    named = Argument("text", name, "header")
    with pytest.raises(InvalidCall):
        Encoder("callee", Operation("get", "GET", "/", (named,))).encode(("1",), {})
    model = Argument("text", "text", "header", fields=True)
    with pytest.raises(InvalidCall):
        Encoder("callee", Operation("get", "GET", "/", (model,))).encode(({name: "1"},), {})


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "/\\evil.example", "/@evil.example", "/a b\r\nx: y", "/..;/x", "/?x#y"]
)
def test_A6_a_path_that_a_peer_describes_leads_to_no_other_host(path: str) -> None:
    target = Encoder("callee", Operation("get", "GET", path)).encode((), {}).target
    assert re.fullmatch(r"/[A-Za-z0-9._~%;/-]*", target)
