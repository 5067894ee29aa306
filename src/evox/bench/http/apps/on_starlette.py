"""Starlette, which routes and leaves validation to pydantic by hand."""

import os
from collections.abc import AsyncIterator

import anyio.lowlevel
import jwt
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MEGABYTE = bytes(1_000_000)
SECRET = os.environ["BENCH_SECRET"]


class Order(BaseModel):
    """What is validated."""

    name: str
    price: float
    quantity: int
    tags: list[str]


async def plain(_request: Request) -> Response:
    """Return the same for all."""
    return JSONResponse({"message": "Hello, World!"})


async def read_item(request: Request) -> Response:
    """Return what the path says."""
    item_id = request.path_params["item_id"]
    return JSONResponse({"item_id": item_id, "name": f"item {item_id}"})


async def read_authorised(request: Request) -> Response:
    """Return what the path says, to whom may see it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="evox", issuer="evox")
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    if scheme.lower() != "bearer" or "admin" not in claims["roles"]:
        raise HTTPException(403)
    return await read_item(request)


async def place(request: Request) -> Response:
    """Return what was sent."""
    try:
        order = Order.model_validate_json(await request.body())
    except ValidationError as error:
        return Response(error.json(include_url=False), 422, media_type="application/json")
    return Response(order.model_dump_json(), media_type="application/json")


async def upload(request: Request) -> Response:
    """Read all of it."""
    return JSONResponse({"size": len(await request.body())})


async def download(_request: Request) -> Response:
    """Return a megabyte."""
    return Response(MEGABYTE, media_type="application/octet-stream")


async def events(_request: Request) -> Response:
    """Send events for as long as somebody listens, and let others send theirs."""

    async def sending() -> AsyncIterator[bytes]:
        while True:
            yield b'data: {"message":"Hello, World!"}\n\n'
            await anyio.lowlevel.checkpoint()

    return StreamingResponse(sending(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route("/json", plain),
        Route("/items/{item_id:int}", read_item),
        Route("/cached/{item_id:int}", read_item),
        Route("/authorised/{item_id:int}", read_authorised),
        Route("/orders", place, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/download", download),
        Route("/events", events),
    ]
)
