"""A proxy before a server that keeps back one message, while what is sent over other connections passes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

__all__ = ["SlowProxy", "slow_proxy"]


class SlowProxy:
    """Passes on what comes, until the connections that it has are to be forgotten without a word."""

    def __init__(self, server: int) -> None:
        self.port = 0
        self._server = server
        self._forgotten: list[anyio.Event] = []
        self._slow: anyio.Event | None = None

    async def serve(self, client: SocketStream) -> None:
        forgotten = anyio.Event()
        self._forgotten.append(forgotten)

        async def pass_on(source: SocketStream, target: SocketStream, group: Any) -> None:
            try:
                async for data in source:
                    if source is client and (slow := self._slow) is not None:
                        self._slow = None
                        await slow.wait()
                    if not forgotten.is_set():
                        await target.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            group.cancel_scope.cancel()

        server = await anyio.connect_tcp("127.0.0.1", self._server)
        async with client, server, anyio.create_task_group() as group:
            group.start_soon(pass_on, client, server, group)
            group.start_soon(pass_on, server, client, group)

    def slow_down(self) -> anyio.Event:
        """Keep what is sent next, and what comes behind it, until the event that is returned."""
        self._slow = anyio.Event()
        return self._slow

    def forget(self) -> None:
        for one in self._forgotten:
            one.set()


@asynccontextmanager
async def slow_proxy(server: int) -> AsyncIterator[SlowProxy]:
    """Open one before a port of this machine."""
    proxy = SlowProxy(server)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        proxy.port = listener.extra(SocketAttribute.local_port)
        group.start_soon(listener.serve, proxy.serve)
        yield proxy
        group.cancel_scope.cancel()
