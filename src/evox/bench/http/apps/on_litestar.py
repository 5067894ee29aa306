"""Litestar, with msgspec, its own cache and its own events."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import jwt
import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.di import Provide
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.response import ServerSentEvent

MEGABYTE = bytes(1_000_000)
SECRET = os.environ["BENCH_SECRET"]


class Item(msgspec.Struct):
    """What a path parameter leads to."""

    item_id: int
    name: str


class Order(msgspec.Struct):
    """What is validated."""

    name: str
    price: float
    quantity: int
    tags: list[str]


class Message(msgspec.Struct):
    """Plain JSON."""

    message: str


class Size(msgspec.Struct):
    """How much was uploaded."""

    size: int


async def admin(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Let in whose token has the role."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        claims: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"], audience="evox", issuer="evox")
    except jwt.InvalidTokenError as error:
        raise NotAuthorizedException from error
    if scheme.lower() != "bearer" or "admin" not in claims["roles"]:
        raise PermissionDeniedException
    return claims


@get("/json")
async def plain() -> Message:
    """Return the same for all."""
    return Message("Hello, World!")


@get("/items/{item_id:int}")
async def read_item(item_id: int) -> Item:
    """Return what the path says."""
    return Item(item_id, f"item {item_id}")


@get("/cached/{item_id:int}", cache=60)
async def read_cached(item_id: int) -> Item:
    """Return the answer that is kept."""
    return Item(item_id, f"item {item_id}")


@get("/authorised/{item_id:int}", dependencies={"claims": Provide(admin)})
async def read_authorised(item_id: int, claims: dict[str, Any]) -> Item:
    """Return what the path says, to whom may see it."""
    del claims
    return Item(item_id, f"item {item_id}")


@post("/orders", status_code=200)
async def place(data: Order) -> Order:
    """Return what was sent."""
    return data


@post("/upload", status_code=200)
async def upload(request: Request[Any, Any, Any]) -> Size:
    """Read all of it."""
    return Size(len(await request.body()))


@get("/download", media_type="application/octet-stream")
async def download() -> Response[bytes]:
    """Return a megabyte."""
    return Response(MEGABYTE, media_type="application/octet-stream")


async def sending() -> AsyncIterator[str]:
    """Send events for as long as somebody listens, and let others send theirs."""
    while True:
        yield '{"message":"Hello, World!"}'
        await asyncio.sleep(0)


@get("/events")
async def events() -> ServerSentEvent:
    """Send events."""
    return ServerSentEvent(sending())


app = Litestar([plain, read_item, read_cached, read_authorised, place, upload, download, events])
