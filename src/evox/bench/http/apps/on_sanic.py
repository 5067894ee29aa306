"""Sanic, under its own server, with pydantic by hand."""

import asyncio
import os

import jwt
from pydantic import BaseModel, ValidationError
from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import Forbidden, Unauthorized
from sanic.response import json, raw

MEGABYTE = bytes(1_000_000)
SECRET = os.environ["BENCH_SECRET"]


class Order(BaseModel):
    """What is validated."""

    name: str
    price: float
    quantity: int
    tags: list[str]


app = Sanic("bench")


def admin(request: Request) -> None:
    """Let in whose token has the role."""
    try:
        claims = jwt.decode(request.token or "", SECRET, algorithms=["HS256"], audience="evox", issuer="evox")
    except jwt.InvalidTokenError as error:
        raise Unauthorized from error
    if "admin" not in claims["roles"]:
        raise Forbidden


@app.get("/json")
async def plain(_request: Request) -> HTTPResponse:
    """Return the same for all."""
    return json({"message": "Hello, World!"})


@app.get("/items/<item_id:int>", name="items")
@app.get("/cached/<item_id:int>", name="cached")
async def read_item(_request: Request, item_id: int) -> HTTPResponse:
    """Return what the path says."""
    return json({"item_id": item_id, "name": f"item {item_id}"})


@app.get("/authorised/<item_id:int>")
async def read_authorised(request: Request, item_id: int) -> HTTPResponse:
    """Return what the path says, to whom may see it."""
    admin(request)
    return json({"item_id": item_id, "name": f"item {item_id}"})


@app.post("/orders")
async def place(request: Request) -> HTTPResponse:
    """Return what was sent."""
    try:
        order = Order.model_validate_json(request.body)
    except ValidationError as error:
        return raw(error.json(include_url=False).encode(), 422, content_type="application/json")
    return json(order.model_dump())


@app.post("/upload")
async def upload(request: Request) -> HTTPResponse:
    """Read all of it."""
    return json({"size": len(request.body)})


@app.get("/download")
async def download(_request: Request) -> HTTPResponse:
    """Return a megabyte."""
    return raw(MEGABYTE)


@app.get("/events")
async def events(request: Request) -> None:
    """Send events for as long as somebody listens, and let others send theirs."""
    response = await request.respond(content_type="text/event-stream")
    while True:
        await response.send('data: {"message":"Hello, World!"}\n\n')
        await asyncio.sleep(0)
