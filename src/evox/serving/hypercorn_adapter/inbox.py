"""Inbox: what has come from a client for one request, and the app has not taken yet.

It holds the client back when the app is slow: over HTTP/1.1 the connection is not read, over HTTP/2 the stream's
window is not given back. The news that the client has left never waits, whatever lies before it.
"""

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
from starlette.types import Message

from evox.serving.client import LOOK, Client

__all__ = ["Inbox"]

HIGH = 65_536  # bytes
# Messages after which others get their turn: one read may hold ten thousand chunks of a byte each.
TURN = 100


class Inbox(Client):
    """Messages from a client to an app.

    Args:
        kind: ``"http"`` or ``"websocket"``.
        give_back: Over HTTP/2: called with bytes that may be sent again. None: ``put`` waits for room instead.
        hung_up: Says whether the client has closed a connection that is not read while ``put`` waits.
    """

    def __init__(
        self,
        kind: str,
        give_back: Callable[[int], Awaitable[None]] | None = None,
        hung_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._kind = kind
        self._give_back = give_back
        self._hung_up = hung_up
        self._messages: deque[Message] = deque()
        self._level = self._owed = self._put = 0
        self._arrived = anyio.Event()
        self._room: anyio.Event | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether the app has more to take than it should."""
        return self._level > HIGH

    async def put(self, message: Message) -> None:
        """Add a message; over HTTP/1.1 wait until the app has room for more."""
        if self._closed or self.gone:
            return  # the answer is complete: what still comes is nobody's
        self._messages.append(message)
        self._level += _size(message)
        self._arrived.set()
        if message["type"].endswith(".disconnect"):
            self.leave()
        elif message["type"] == "http.request":
            self.body_arrived = not message["more_body"]
        if self._give_back is None:
            self._put += 1
            if self._put % TURN == 0:
                await anyio.lowlevel.checkpoint()
            while self.full and not (self._closed or self.gone):
                self._room = anyio.Event()
                with anyio.move_on_after(LOOK) as look:
                    await self._room.wait()
                if look.cancelled_caught and self._hung_up():
                    self.tell()

    async def receive(self) -> Message:
        """Return the next message: ASGI's ``receive``. Several may wait for it at a time."""
        while not self._messages:
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
        message = self._messages[0]
        if message["type"].endswith(".disconnect"):
            return message  # and again, however often the app asks
        if not await self.may_take():
            return self._disconnect()
        self._messages.popleft()
        self._level -= _size(message)
        if not self.full:
            self._make_room()
            await self._settle()
        return message

    def leave(self) -> None:
        """Say that the client has left, and let go of the connection that waits for room."""
        super().leave()
        self._make_room()

    async def hang_up(self) -> None:
        """Tell the app that its client has left, unless it knows."""
        await self.put(self._disconnect())

    def _disconnect(self) -> Message:
        code = {"code": 1006} if self._kind == "websocket" else {}
        return {"type": f"{self._kind}.disconnect", **code}

    async def owe(self, size: int) -> None:
        """Note that so many bytes of an HTTP/2 stream's window were used; they are given back when there is room."""
        self._owed += size
        if not self.full or self._closed or self.gone:
            await self._settle()

    async def close(self) -> None:
        """Take no more: the app has returned."""
        self._closed = True
        self._messages.clear()
        self._level = 0
        self._make_room()
        await self._settle()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()

    async def _settle(self) -> None:
        owed, self._owed = self._owed, 0
        if owed and self._give_back is not None:
            await self._give_back(owed)


def _size(message: Message) -> int:
    text = message.get("text")
    return len(text.encode() if text else message.get("body") or message.get("bytes") or b"")
