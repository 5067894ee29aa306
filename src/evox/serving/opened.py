"""Opened: one open request, and its view of receive and send.

Here is what a drain says to a client: ``Connection: close`` on an HTTP/1.1 answer, close code 1001 to a WebSocket. A
WebSocket is told when it next receives or sends, so that telling it needs no task of its own.
"""

from enum import Enum

import anyio
from starlette.types import Message, Receive, Scope, Send

__all__ = ["GOING_AWAY", "Http", "Kind", "Opened", "WebSocket"]

GOING_AWAY = 1001  # RFC 6455 section 7.4.1


class Kind(Enum):
    """What an open request is, which decides how a drain treats it."""

    REQUEST = "request"
    STREAM = "stream"
    WEBSOCKET = "websocket"


class Opened:
    """One open request.

    Attributes:
        kind: What it is; a request becomes a stream when its answer comes in parts.
        label: For logs, e.g. ``"GET /users"``.
        scope: Cancels the app.
        started: Whether the answer has begun.
        finished: Whether it is complete.
    """

    __slots__ = ("_receive", "_send", "began", "finished", "kind", "label", "scope", "started", "status")

    def __init__(self, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        self.kind = kind
        self.label = f"{scope.get('method', 'WebSocket')} {scope['path']}"
        self.scope = anyio.CancelScope()
        self.started = self.finished = False
        self.status = 0
        self.began = anyio.current_time()
        self._receive, self._send = receive, send

    def end_soon(self) -> None:
        """The service drains: tell the client to leave, if this kind of request can be told."""

    async def receive(self) -> Message:
        """Return the client's next message."""
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send the app's message."""
        await self._send(message)


class Http(Opened):
    """An HTTP request."""

    __slots__ = ("_closes", "_headers", "_read")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(Kind.REQUEST, scope, receive, send)
        self._closes: bool | None = None if scope.get("http_version", "1.1").startswith("1") else False
        self._headers = scope.get("headers", ())
        self._read = False

    def end_soon(self) -> None:
        """Ask for the connection to be closed after the answer. HTTP/2 has no such header; its connection is told."""
        if self._closes is None:
            self._closes = True

    async def receive(self) -> Message:
        """Return the client's next message, and note the end of its body."""
        message = await self._receive()
        self._read = self._read or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send the app's message, and note how far the answer is."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            if self._closes or (self._closes is None and self._leaves_body()):
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        elif message["type"] == "http.response.body":
            # Once complete it is an ordinary request again: what still runs are FastAPI's background tasks.
            self.finished = not message.get("more_body", False)
            self.kind = Kind.REQUEST if self.finished else Kind.STREAM
        await self._send(message)

    def _leaves_body(self) -> bool:
        """Whether a body is left unread: the connection cannot be used again then, and the client has to know."""
        if self._read:
            return False
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self._headers
        )


class WebSocket(Opened):
    """A WebSocket."""

    __slots__ = ("_receiving", "_telling")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(Kind.WEBSOCKET, scope, receive, send)
        self._receiving: anyio.CancelScope | None = None
        self._telling = False

    def end_soon(self) -> None:
        """Close with 1001 at the app's next receive or send, waking it if it is receiving."""
        self._telling = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def receive(self) -> Message:
        """Return the client's next message, or a disconnect when the service drains."""
        with anyio.CancelScope() as self._receiving:
            if not (self._telling and self.started):
                return await self._receive()
        self._receiving = None
        await self.go_away()
        return {"type": "websocket.disconnect", "code": GOING_AWAY}

    async def send(self, message: Message) -> None:
        """Send the app's message.

        Raises:
            OSError: if we have closed already, as ASGI says.
        """
        if self._telling and message["type"] == "websocket.send":
            await self.go_away()
        if self.finished:
            raise OSError("the service is draining and has closed this WebSocket")
        self.started = self.started or message["type"] == "websocket.accept"
        self.finished = message["type"] == "websocket.close"
        await self._send(message)

    async def go_away(self) -> None:
        """Close with 1001, once."""
        if not self.finished:
            self._telling, self.finished = False, True
            await self._send({"type": "websocket.close", "code": GOING_AWAY})
