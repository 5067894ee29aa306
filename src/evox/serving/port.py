"""Port: a listening socket and the protocol behind it, as one thing to start, drain and close."""

import socket
import ssl

import anyio
from anyio.abc import TaskGroup
from starlette.types import ASGIApp

from evox.config import ServingSettings
from evox.serving.connections import Connections
from evox.serving.listener import PAUSE, Listener
from evox.serving.protocol import ServingStatistics

__all__ = ["Port"]


class Port:
    """Serves one app on one socket.

    Args:
        bound: From ``bind``; closed by ``close``.
        app: The ASGI app.
        settings: Limits and timeouts.
        service: Whose socket it is, for logs.
        tls: Turns TLS on; None serves plain HTTP.
        connections: The nursery of connections, which outlive the listener.
    """

    def __init__(
        self,
        bound: socket.socket,
        app: ASGIApp,
        settings: ServingSettings,
        *,
        service: str,
        connections: TaskGroup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.service = service
        self._group = connections
        self._connections = Connections(app, settings, service=service, group=connections, tls=tls)
        self._listener = Listener(bound, self._connections.serve, service=service, secure=tls is not None)

    def __repr__(self) -> str:
        return f"<Port {self.url}>"

    @property
    def url(self) -> str:
        """Where it listens, e.g. ``"http://127.0.0.1:8001"``."""
        return self._listener.url

    def statistics(self) -> ServingStatistics:
        """Return how many connections there are and were, and what clients did wrong."""
        return self._connections.statistics()

    async def serve(self) -> None:
        """Accept connections until ``close``."""
        await self._listener.serve(self._group)

    def sweep(self) -> None:
        """Look now which clients have left or take too long; it is done ten times a second anyway."""
        self._connections.sweep()

    async def leave_soon(self) -> None:
        """Ask clients to send their next requests elsewhere."""
        await self._connections.leave_soon()

    async def close(self) -> None:
        """Listen no more, and close each connection once it is idle."""
        self._listener.close(self._group)
        with anyio.move_on_after(PAUSE) as pause:
            await self._listener.wait_closed()
        await self._connections.finish()
        if pause.cancelled_caught:  # out of descriptors: who waits is taken as idle connections give theirs up
            await self._listener.wait_closed()
            await self._connections.finish()

    def abort(self) -> None:
        """Close every connection now."""
        self._connections.abort()
