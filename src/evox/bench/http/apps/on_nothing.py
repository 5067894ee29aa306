"""Raw ASGI: no framework at all, and no more checked than has to be. What a server can do at best."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MEGABYTE = bytes(1_000_000)
SECRET = os.environ["BENCH_SECRET"]
KINDS = {"name": str, "price": float, "quantity": int, "tags": list}


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path == "/json":
        await answer(send, 200, json.dumps({"message": "Hello, World!"}).encode())
    elif path.startswith(("/items/", "/cached/")):
        await answer(send, 200, item(path))
    elif path.startswith("/authorised/"):
        allowed = admin(dict(scope["headers"]).get(b"authorization", b""))
        await answer(send, 200 if allowed else 401, item(path) if allowed else b"{}")
    elif path == "/orders":
        order = json.loads(await body(receive))
        right = all(isinstance(order.get(name), kind) for name, kind in KINDS.items())
        await answer(send, 200 if right else 422, json.dumps(order).encode() if right else b'{"detail":"wrong"}')
    elif path == "/upload":
        await answer(send, 200, json.dumps({"size": len(await body(receive))}).encode())
    elif path == "/download":
        await answer(send, 200, MEGABYTE, b"application/octet-stream")
    else:
        await events(receive, send)


def item(path: str) -> bytes:
    """Return what the path says."""
    item_id = int(path.rpartition("/")[2])
    return json.dumps({"item_id": item_id, "name": f"item {item_id}"}).encode()


def admin(header: bytes) -> bool:
    """Say whether the token has the role."""
    try:
        claims = jwt.decode(header[7:], SECRET, algorithms=["HS256"], audience="evox", issuer="evox")
    except jwt.InvalidTokenError:
        return False
    return "admin" in claims["roles"]


async def body(receive: Receive) -> bytes:
    """Read all of it."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def answer(send: Send, status: int, content: bytes, kind: bytes = b"application/json") -> None:
    """Send one answer."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def events(receive: Receive, send: Send) -> None:
    """Send events for as long as somebody listens, and let others send theirs."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.create_task(gone())
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while not leaving.done():
        await send({"type": "http.response.body", "body": b'data: {"message":"Hello, World!"}\n\n', "more_body": True})
        await asyncio.sleep(0)
