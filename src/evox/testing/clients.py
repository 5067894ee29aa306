"""Clients: HTTP and WebSocket straight into an ASGI app, with streaming, and without sockets.

The app runs in a task of the environment's nursery, so a response can be read while it is being written, and
leaving early is seen by the app as its client going away.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import httpx2
from anyio.abc import ObjectReceiveStream, TaskGroup
from starlette.types import ASGIApp, Message

from evox.serving import Client

__all__ = ["AppTransport", "WebSocketClosed", "WebSocketSession", "websocket_session"]

_CLIENT = ("127.0.0.1", 50000)
_BUFFER = 64


class AppTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport that calls an ASGI app.

    Args:
        app: The app.
        nursery: Where the app's task runs.
        raise_errors: Whether errors of the app are raised to the caller.
    """

    def __init__(self, app: ASGIApp, nursery: TaskGroup, *, raise_errors: bool = False) -> None:
        self._app = app
        self._nursery = nursery
        self._raise = raise_errors

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and return once its response has begun."""
        assert isinstance(request.stream, httpx2.AsyncByteStream)  # noqa: S101  an async client sends async bodies
        body = b"".join([chunk async for chunk in request.stream])
        exchange = _Exchange(self._app, _http_scope(request), body, raise_errors=self._raise)
        self._nursery.start_soon(exchange.run)
        try:
            await exchange.began.wait()
        except BaseException:
            exchange.leave()
            raise
        if not exchange.answered:
            exchange.leave()
            exchange.raise_asked()
            raise httpx2.RemoteProtocolError("the app ended without an answer", request=request)
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=exchange)


def _http_scope(request: httpx2.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": _CLIENT,
        "server": (request.url.host, request.url.port or 80),
        "extensions": {},
    }


class _Exchange(httpx2.AsyncByteStream):
    """One request and its response, which is read from here chunk by chunk."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any], body: bytes, *, raise_errors: bool) -> None:
        self._app, self._scope, self._body, self._raise = app, scope, body, raise_errors
        self.answered = self._complete = False
        self._sender, self._receiver = anyio.create_memory_object_stream[bytes](_BUFFER)
        self._gone = anyio.Event()
        self._client = Client()
        self._sent = False
        self.began = anyio.Event()
        self.ended = anyio.Event()
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.errors: list[Exception] = []
        scope["extensions"]["evox.errors"] = self.errors
        self._client.enter(scope)

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  handed to the caller, who decides whether to raise it
            self.errors.append(error)
        finally:
            self._sender.close()
            self.began.set()
            self.ended.set()

    def leave(self) -> None:
        self._gone.set()
        self._client.leave()
        self._receiver.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._receiver:
            async for chunk in self._receiver:
                yield chunk
        if self._raise:
            await self.ended.wait()  # an error may be known only after the answer that was made of it
            self.raise_asked()
        if not self._complete:
            raise httpx2.RemoteProtocolError("the answer broke off: the app ended before its last part")

    def raise_asked(self) -> None:
        """Raise the app's own error, if the client asked for it."""
        if self._raise and self.errors:
            raise self.errors[0]

    async def aclose(self) -> None:
        self.leave()

    async def _receive(self) -> Message:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            self.status, self.headers = message["status"], list(message.get("headers", []))
            self.began.set()
        elif message["type"] == "http.response.body":
            if message.get("body") and self._scope["method"] != "HEAD":
                try:
                    await self._sender.send(bytes(message["body"]))
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
            if not message.get("more_body", False):
                self._complete = True
                self._sender.close()


class WebSocketClosed(Exception):
    """The app closed the WebSocket, or refused it.

    Attributes:
        code: The close code; 1006 when the app ended without one.
        reason: The app's words.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"WebSocket closed with {code} {reason}".rstrip())
        self.code, self.reason = code, reason


class WebSocketSession:
    """One WebSocket conversation, from the client's side."""

    def __init__(self, to_app: Any, from_app: ObjectReceiveStream[Message]) -> None:
        self._to_app = to_app
        self._from_app = from_app

    async def send_text(self, text: str) -> None:
        """Send a text message."""
        await self._send({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._send({"type": "websocket.receive", "bytes": data})

    async def receive(self) -> str | bytes:
        """Return the next message.

        Raises:
            WebSocketClosed: if the app closed.
        """
        message = await self._next()
        if message["type"] == "websocket.send":
            text: str | None = message.get("text")
            data: bytes = message.get("bytes") or b""
            return text if text is not None else data
        raise WebSocketClosed(message.get("code", 1000), message.get("reason") or "")

    async def close(self, code: int = 1000) -> None:
        """Leave."""
        await self._send({"type": "websocket.disconnect", "code": code})

    async def accepted(self) -> None:
        """Wait until the app accepts.

        Raises:
            WebSocketClosed: if it refuses.
        """
        message = await self._next()
        if message["type"] != "websocket.accept":
            raise WebSocketClosed(message.get("code", 1000), message.get("reason") or "")

    async def _send(self, message: Message) -> None:
        try:
            await self._to_app.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise WebSocketClosed(1006) from None

    async def _next(self) -> Message:
        try:
            return await self._from_app.receive()
        except anyio.EndOfStream:
            raise WebSocketClosed(1006) from None


@asynccontextmanager
async def websocket_session(
    app: ASGIApp, nursery: TaskGroup, path: str, headers: Mapping[str, str]
) -> AsyncIterator[WebSocketSession]:
    """Open a WebSocket to an ASGI app and leave it when the block ends."""
    url = urlsplit(path)
    scope: dict[str, Any] = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": _CLIENT,
        "server": ("test", 80),
        "subprotocols": [],
        "extensions": {},
    }
    to_app, app_receives = anyio.create_memory_object_stream[Message](_BUFFER)
    app_sends, from_app = anyio.create_memory_object_stream[Message](_BUFFER)

    async def send(message: Message) -> None:
        try:
            await app_sends.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def run() -> None:
        with app_sends, app_receives:
            await app(scope, app_receives.receive, send)

    await to_app.send({"type": "websocket.connect"})
    nursery.start_soon(run)
    session = WebSocketSession(to_app, from_app)
    with to_app, from_app:
        await session.accepted()
        try:
            yield session
        finally:
            with contextlib.suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
                to_app.send_nowait({"type": "websocket.disconnect", "code": 1000})
