"""Evox, for all questions but the one about tokens: a service that asks nobody anything."""

from collections.abc import AsyncIterator

import anyio.lowlevel
from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel

from evox import Body, service

MEGABYTE = bytes(1_000_000)


class Item(BaseModel):
    """What a path parameter leads to."""

    item_id: int
    name: str


class Order(BaseModel):
    """What is validated."""

    name: str
    price: float
    quantity: int
    tags: list[str]


class Message(BaseModel):
    """Plain JSON."""

    message: str


class Size(BaseModel):
    """How much was uploaded."""

    size: int


svc = service("bench")


@svc.get("/json")
async def plain() -> Message:
    """Return the same for all."""
    return Message(message="Hello, World!")


@svc.get("/items/{item_id}")
async def read_item(item_id: int) -> Item:
    """Return what the path says."""
    return Item(item_id=item_id, name=f"item {item_id}")


@svc.get("/cached/{item_id}", cache=60)
async def read_cached(item_id: int) -> Item:
    """Return the answer that is kept."""
    return Item(item_id=item_id, name=f"item {item_id}")


@svc.post("/orders")
async def place(order: Order = Body()) -> Order:
    """Return what was sent."""
    return order


@svc.post("/upload")
async def upload(request: Request) -> Size:
    """Read all of it."""
    return Size(size=len(await request.body()))


@svc.get("/download")
async def download() -> Response:
    """Return a megabyte."""
    return Response(MEGABYTE, media_type="application/octet-stream")


@svc.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[Message]:
    """Send events for as long as somebody listens, and let others send theirs."""
    while True:
        yield Message(message="Hello, World!")
        await anyio.lowlevel.checkpoint()
