"""Opened: one open request, and its view of receive and send.

Here is what a drain says to a client: ``Connection: close`` on an HTTP/1.1 answer, close code 1001 to a WebSocket. A
WebSocket is told when it next receives or sends, so that telling it needs no task of its own.
"""

import math
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum

import anyio
import anyio.lowlevel
from starlette.types import Message, Receive, Scope, Send

from evox.config import ServingSettings
from evox.services import OPENED
from evox.serving.client import CLIENT, Client, client_of

__all__ = ["GOING_AWAY", "Http", "Kind", "Opened", "Refusal", "WebSocket"]

GOING_AWAY = 1001  # RFC 6455 section 7.4.1
_SAFE = frozenset({"GET", "HEAD"})  # nothing is lost when they are cancelled


class Kind(Enum):
    """What an open request is, which decides how a drain treats it."""

    REQUEST = "request"
    STREAM = "stream"
    WEBSOCKET = "websocket"


class Refusal(Enum):
    """Why a request is refused for what its client does."""

    TOO_LARGE = 413
    TOO_SLOW = 408


class Opened:
    """One open request.

    Attributes:
        kind: What it is; a request becomes a stream when its answer comes in parts.
        began: When, in monotonic seconds, where somebody wants to know.
        scope: Cancels the app.
        borrowed: Whether the scope is that of the connection, which then says the last word to a client that is cut.
        started: Whether the answer has begun.
        finished: Whether it is complete.
    """

    # What is not set stands here: of most requests little is.
    kind: Kind = Kind.REQUEST
    began: float = 0.0
    status: int = 0
    hurried: bool = False
    started: bool = False
    finished: bool = False

    def __init__(self, scope: Scope, receive: Receive, send: Send, client: Client | None) -> None:
        self._scope, self._receive, self._send, self._client = scope, receive, send, client
        shared = None if client is None else client.scope
        self.scope = anyio.CancelScope() if shared is None else shared
        self.borrowed = shared is not None

    @property
    def label(self) -> str:
        """What it is for logs, e.g. ``"GET /users"``."""
        return f"{self._scope.get('method', 'WebSocket')} {self._scope['path']}"

    @property
    def refused(self) -> bool:
        """Whether it is refused for what its client does."""
        return False

    def hurry(self, seconds: float) -> None:
        """Cut it unless it ends within so many seconds."""
        self.hurried = True
        self.scope.deadline = anyio.current_time() + seconds

    def leave_word(self, say: Callable[[], Awaitable[None]], end: Callable[[], None]) -> None:
        """Leave it to the connection, whose scope was cancelled, to say the last word and end this."""
        if self._client is not None:
            self._client.last_word, self._client.on_end = say, end

    def end(self) -> None:
        """It is over, and was hurried: the scope of its connection goes on for other requests."""
        if self.borrowed:
            self.scope.deadline = math.inf

    def end_soon(self) -> None:
        """The service drains: tell the client to leave, if this kind of request can be told."""

    async def receive(self) -> Message:
        """Return the client's next message."""
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send the app's message."""
        await self._send(message)


class Http(Opened):
    """An HTTP request, within the limits of what a client may do.

    Attributes:
        refusal: Why the request itself is refused, once it is.
        left: Whether the client left before its answer was complete.
    """

    left: bool = False
    refusal: Refusal | None = None
    _read: bool = False
    _got: int = 0
    _waited: float = 0.0
    _closes: bool | None = None
    _on_disconnect: str | None = None
    _headers: Iterable[tuple[bytes, bytes]] = ()
    _owed: int | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: ServingSettings) -> None:
        extensions = scope.setdefault("extensions", {})
        extensions[OPENED] = self
        client = extensions.get(CLIENT)
        super().__init__(scope, receive, send, client)
        self._limits, self._method = limits, scope["method"]
        if scope.get("http_version", "1.1")[0] != "1":
            self._closes = False
        length = -1 if client is None else client.length
        self._length = known = length if length >= 0 else _length(scope, unknown=self._closes is False)
        if known is not None and known > limits.body_bytes:
            self.refusal = Refusal.TOO_LARGE
        if client is not None:
            client.on_gone = self._gone  # its client's leaving cancels the app, as the endpoint says
            if client.gone:
                self._gone()

    @property
    def refused(self) -> bool:
        """Whether it is refused for what its client does."""
        return self.refusal is not None

    @property
    def arrived(self) -> bool:
        """Whether all of its body is here, so that nobody has to wait for it."""
        return self._client is not None and self._client.body_arrived

    def take_body(self) -> bytes | None:
        """Return all of its body; None where that cannot be done without waiting."""
        client = self._client
        if client is None or not client.body_arrived or self._read or self._got:
            return None
        data = client.take_body()
        if data is not None:
            self._read, self._got = True, len(data)
        return data

    def decide(self, on_disconnect: str | None) -> None:
        """Take what the endpoint says about a client that leaves, or has left; None: its method decides."""
        self._on_disconnect = on_disconnect
        if self.left:
            self._cancel()

    def end_soon(self) -> None:
        """Ask for the connection to be closed after the answer. HTTP/2 has no such header; its connection is told."""
        if self._closes is None:
            self._closes = True

    async def receive(self) -> Message:
        """Return the client's next message, and hold its body to the limits."""
        if self._read or self._length == 0 or self.finished:
            return await self._receive()
        if self._client is not None and self._client.ready:
            return await self._count_in(await self._receive())
        began = anyio.current_time()
        allowed = self._limits.body_timeout + self._got / self._limits.body_rate - self._waited
        with anyio.move_on_after(allowed):
            message = await self._receive()
            self._waited += anyio.current_time() - began
            return await self._count_in(message)
        return await self._refuse(Refusal.TOO_SLOW)

    async def _count_in(self, message: Message) -> Message:
        self._got += len(message.get("body", b""))
        if self._got > self._limits.body_bytes:
            return await self._refuse(Refusal.TOO_LARGE)
        self._read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send the app's message, and note how far the answer is.

        Raises:
            ValueError: if its status is none of an answer, for which the client would go on waiting.
        """
        if message["type"] == "http.response.start":
            if message["status"] < 200:
                raise ValueError(f"{message['status']} is no status of an answer: below 200 are those that come before")
            self.started, self.status = True, message["status"]
            self._headers = message.get("headers", ())
            if self._closes or (self._closes is None and self._leaves_body()):
                message = {**message, "headers": [*self._headers, (b"connection", b"close")]}
        elif message["type"] == "http.response.body":
            # Once complete it is an ordinary request again: what still runs are FastAPI's background tasks.
            self.finished = not message.get("more_body", False)
            self.kind = Kind.REQUEST if self.finished else Kind.STREAM
            if not self.finished:
                self._count(len(message.get("body", b"")))
        if self._client is not None and self._client.gone:
            # Nothing below waits for a client that is gone: an app that only writes would hold the loop for ever.
            await anyio.lowlevel.checkpoint()
        await self._send(message)

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Awaitable[None] | None:
        """Send a whole answer, as two messages of the app would; its head and body may go out as one.

        Returns:
            None if all of it is on its way; or what waits until it is, and is to be awaited.
        """
        whole = None if self._client is None else self._client.answer
        if whole is None or self.started or status < 200:
            return self._answer_in_two(status, headers, body)
        self.started = self.finished = True
        self.status = status
        if self._closes or (self._length != 0 and self._closes is None and self._leaves_body()):
            headers = [*headers, (b"connection", b"close")]
        return whole(status, headers, body)

    async def _answer_in_two(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _count(self, size: int) -> None:
        """Note how much of an answer in parts is still owed, if its length was announced."""
        if self._owed is None:
            self._owed = _announced(self._headers)
        self._owed -= size

    def _gone(self) -> None:
        # A complete answer disarms this: what still runs then are FastAPI's background tasks. Its last byte makes it
        # complete, even if the app has yet to say so.
        whole = self.finished or (self._owed is not None and self._owed <= 0)
        if not whole and not (self.started and self._method == "HEAD"):
            self.left = True
            self._cancel()

    def _cancel(self) -> None:
        if self._on_disconnect == "cancel" or (self._on_disconnect is None and self._method in _SAFE):
            self.scope.cancel()

    async def _refuse(self, why: "Refusal") -> Message:
        """End the app; the door answers in its place. Not raised in the app, which might take it for its own error."""
        self.refusal = why
        self.scope.cancel()
        await anyio.lowlevel.checkpoint()
        return {"type": "http.disconnect"}  # for an app that shields itself

    def _leaves_body(self) -> bool:
        """Whether a body is left unread: the connection cannot be used again then, and the client has to know."""
        return not (self._read or self._length == 0 or (self._client is not None and self._client.body_arrived))


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the length that an answer has announced; endless if it has not."""
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return sys.maxsize


def _length(scope: Scope, *, unknown: bool) -> int | None:
    """Return the length of a body as announced; None when only its end will tell."""
    for name, value in scope.get("headers", ()):
        if name == b"content-length" and value.isdigit():
            return int(value)
        if name == b"transfer-encoding":
            return None
    return None if unknown else 0


class WebSocket(Opened):
    """A WebSocket."""

    kind: Kind = Kind.WEBSOCKET
    _receiving: anyio.CancelScope | None = None
    _telling: bool = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send, client_of(scope))

    @property
    def left(self) -> bool:
        """Whether its client has left."""
        return self._client is not None and self._client.gone

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
            OSError: if the client has left or we have closed already, as ASGI says.
        """
        if self.left:
            raise OSError("the client of this WebSocket has left")
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
