"""Plain hypercorn on trio, with its own ``serve`` and an app without framework: what the corpus is compared on.

It serves the paths of ``victim.py``. Run by ``control.py`` with a listening descriptor, and perhaps a certificate.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

__all__ = ["app"]

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The same paths for hypercorn, without a framework."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await _echo(scope["path"], receive, send)
    else:
        await _answer(scope["path"], scope["query_string"], receive, send)


async def _echo(path: str, receive: Receive, send: Send) -> None:
    await receive()
    if path == "/patient":
        await anyio.sleep(0.1)
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _answer(path: str, query: bytes, receive: Receive, send: Send) -> None:
    body, headers = b"early", []
    if path == "/upload":
        while (message := await receive()).get("more_body", False):
            body += message["body"]
    elif path == "/stats":
        body = json.dumps({"tasks": len(anyio.get_running_tasks()), "descriptors": _descriptors()}).encode()
    elif path == "/reflect":
        headers = [(b"x-value", query.partition(b"=")[2].replace(b"%0d%0a", b"\r\n"))]
    if path != "/big":
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/big":
        for _ in range(128):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": body})


def main(fd: int, certfile: str, keyfile: str) -> None:
    """Serve on an inherited socket with hypercorn's own ``serve``."""
    config = Config()
    config.bind = [f"fd://{fd}"]
    config.errorlog = None
    config.keep_alive_timeout = 1  # it keeps the tasks of a closed connection so long, which would look like a leak
    if certfile:
        config.certfile, config.keyfile = certfile, keyfile
    trio.run(serve, app, config)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
