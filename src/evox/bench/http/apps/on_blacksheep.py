"""BlackSheep, with dataclasses and its own events."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import jwt
from blacksheep import Application, Content, Request, Response, get, post
from blacksheep.exceptions import Forbidden, Unauthorized
from blacksheep.server.sse import ServerSentEvent
from pydantic import BaseModel

MEGABYTE = bytes(1_000_000)
SECRET = os.environ["BENCH_SECRET"]


@dataclass
class Item:
    """What a path parameter leads to."""

    item_id: int
    name: str


class Order(BaseModel):
    """What is validated."""

    name: str
    price: float
    quantity: int
    tags: list[str]


@dataclass
class Message:
    """Plain JSON."""

    message: str


@dataclass
class Size:
    """How much was uploaded."""

    size: int


app = Application()


def admin(request: Request) -> None:
    """Let in whose token has the role."""
    header = request.get_first_header(b"authorization") or b""
    try:
        claims = jwt.decode(header[7:], SECRET, algorithms=["HS256"], audience="evox", issuer="evox")
    except jwt.InvalidTokenError as error:
        raise Unauthorized from error
    if "admin" not in claims["roles"]:
        raise Forbidden


@get("/json")
async def plain() -> Message:
    """Return the same for all."""
    return Message("Hello, World!")


@get("/items/{item_id}")
async def read_item(item_id: int) -> Item:
    """Return what the path says."""
    return Item(item_id, f"item {item_id}")


@get("/cached/{item_id}")
async def read_cached(item_id: int) -> Item:
    """Return what the path says."""
    return Item(item_id, f"item {item_id}")


@get("/authorised/{item_id}")
async def read_authorised(request: Request, item_id: int) -> Item:
    """Return what the path says, to whom may see it."""
    admin(request)
    return Item(item_id, f"item {item_id}")


@post("/orders")
async def place(data: Order) -> Order:
    """Return what was sent."""
    return data


@post("/upload")
async def upload(request: Request) -> Size:
    """Read all of it."""
    return Size(len(await request.read() or b""))


@get("/download")
async def download() -> Response:
    """Return a megabyte."""
    return Response(200, content=Content(b"application/octet-stream", MEGABYTE))


@get("/events")
async def events() -> AsyncIterator[ServerSentEvent]:
    """Send events for as long as somebody listens, and let others send theirs."""
    while True:
        yield ServerSentEvent({"message": "Hello, World!"})
        await asyncio.sleep(0)
