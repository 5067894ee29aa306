"""FastAPI, under uvicorn and under hypercorn on trio."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio.lowlevel
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel

MEGABYTE = bytes(1_000_000)
SECRET = os.environ["BENCH_SECRET"]


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


app = FastAPI()
bearer = HTTPBearer()


async def admin(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, Any]:
    """Let in whose token has the role."""
    try:
        claims: dict[str, Any] = jwt.decode(
            credentials.credentials, SECRET, algorithms=["HS256"], audience="evox", issuer="evox"
        )
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    if "admin" not in claims["roles"]:
        raise HTTPException(403)
    return claims


@app.get("/json")
async def plain() -> Message:
    """Return the same for all."""
    return Message(message="Hello, World!")


@app.get("/items/{item_id}")
@app.get("/cached/{item_id}")
async def read_item(item_id: int) -> Item:
    """Return what the path says."""
    return Item(item_id=item_id, name=f"item {item_id}")


@app.get("/authorised/{item_id}")
async def read_authorised(item_id: int, _claims: Annotated[dict[str, Any], Depends(admin)]) -> Item:
    """Return what the path says, to whom may see it."""
    return Item(item_id=item_id, name=f"item {item_id}")


@app.post("/orders")
async def place(order: Order) -> Order:
    """Return what was sent."""
    return order


@app.post("/upload")
async def upload(request: Request) -> Size:
    """Read all of it."""
    return Size(size=len(await request.body()))


@app.get("/download")
async def download() -> Response:
    """Return a megabyte."""
    return Response(MEGABYTE, media_type="application/octet-stream")


@app.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[Message]:
    """Send events for as long as somebody listens, and let others send theirs."""
    while True:
        yield Message(message="Hello, World!")
        await anyio.lowlevel.checkpoint()
