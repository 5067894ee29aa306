"""Tasks: starts the app for a request, and gives it an inbox."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from anyio.abc import TaskGroup
from hypercorn.config import Config

from evox.config import ServingSettings
from evox.serving.hypercorn_adapter.inbox import Inbox
from evox.serving.hypercorn_adapter.websocket import watch

__all__ = ["Tasks"]


class Tasks:
    """Hypercorn's task group interface, for one connection.

    Args:
        group: The connection's.
        settings: Says how large a WebSocket message may be.
        hung_up: Says whether the client has closed the connection, read or not.

    Attributes:
        give_back: Over HTTP/2: called with a stream and bytes of its window that may be used again.
        websocket: The WebSocket of an HTTP/1.1 connection.
    """

    def __init__(self, group: TaskGroup, settings: ServingSettings, hung_up: Callable[[], bool]) -> None:
        self._group = group
        self._settings = settings
        self._hung_up = hung_up
        self._inboxes: dict[int, Inbox] = {}
        self.give_back: Callable[[int, int], Awaitable[None]] | None = None
        self.websocket: Any = None

    def running(self) -> int:
        """Return how many requests are being answered."""
        return len(self._inboxes)

    async def leave(self, stream_id: int | None = None) -> None:
        """Tell the apps, or the app of one stream, that the client has left; hypercorn does not tell all of them."""
        for number, inbox in list(self._inboxes.items()):
            if stream_id in (None, number):
                await inbox.hang_up()

    async def owe(self, stream_id: int, size: int) -> None:
        """Note that bytes of a stream's window were used."""
        inbox = self._inboxes.get(stream_id)
        if inbox is not None:
            await inbox.owe(size)
        elif self.give_back is not None:
            await self.give_back(stream_id, size)

    async def spawn_app(
        self,
        app: Any,
        config: Config,  # noqa: ARG002  hypercorn's signature
        scope: Any,
        send: Any,
    ) -> Callable[[Any], Awaitable[None]]:
        """Start the app, and return what takes the client's messages to it."""
        stream, number = send.__self__, send.__self__.stream_id
        give_back = self.give_back and partial(self.give_back, number)
        inbox = self._inboxes[number] = Inbox(scope["type"], give_back, self._hung_up)
        inbox.enter(scope)
        put = inbox.put
        if scope["type"] == "websocket":
            self.websocket, said = stream, watch(stream, self._settings.websocket_bytes)

            async def put(message: Any) -> None:
                await inbox.put({**message, **said} if message["type"] == "websocket.disconnect" else message)

        async def run() -> None:
            try:
                await app(scope, inbox.receive, send)
                await send(None)
            finally:
                if self._inboxes.get(number) is inbox:
                    del self._inboxes[number]
                await inbox.close()

        self._group.start_soon(run, name="request")
        return put

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Start a task of the protocol."""
        self._group.start_soon(function, *args)
