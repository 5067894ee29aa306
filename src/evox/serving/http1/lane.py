"""Lane: what the connections of one app have in common, and the sweep that holds all of them to their times.

A sweep looks at every connection ten times a second: which has waited too long for its client, and whose client has
left while it is answered. So a request pays for no timer, and ten thousand idle connections for one in all.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup
from starlette.types import ASGIApp, Receive, Scope, Send

from evox.config import ServingSettings
from evox.data.clock import loop_clock
from evox.serving.client import LOOK
from evox.serving.http1.connection import Connection

__all__ = ["Lane"]

Begin: TypeAlias = Callable[[Scope, Receive, Send], Any]


class Lane:
    """The fast lane of one app.

    Args:
        app: What answers requests.
        settings: How long a client may take, and how much it may send.
        group: Runs the sweep, for as long as there are connections.
        take_over: Called with a connection whose app goes on after its answer: another is to serve its wire.

    Attributes:
        begin: Returns the coroutine that answers a request, in a context of its own: of the app, if it has such a one,
            or else the app itself.
        connections: Those that are open.
        terminated: Whether connections are closed once they are idle.
        clock: The loop's.
    """

    def __init__(
        self, app: ASGIApp, settings: ServingSettings, group: TaskGroup, take_over: Callable[[Connection], None]
    ) -> None:
        self.settings, self.take_over = settings, take_over
        self.begin: Begin = getattr(app, "begin", app)
        self._group = group
        self.connections: set[Connection] = set()
        self.terminated = self._sweeping = False
        self.clock = loop_clock()

    def __repr__(self) -> str:
        return f"<Lane of {len(self.connections)} connections>"

    def add(self, connection: Connection) -> None:
        """Watch a connection, until it is taken out of ``connections``."""
        self.connections.add(connection)
        if not self._sweeping:
            self._sweeping = True
            self._group.start_soon(self._sweep_on, name="connections")

    def finish(self) -> None:
        """Have each connection closed once it is idle."""
        self.terminated = True
        for connection in self.connections:
            connection.finish()

    def sweep(self) -> None:
        """Look at all connections."""
        now = self.clock()
        for one in list(self.connections):
            if one.exchange is not None or one.due <= now:  # of those that are idle there may be very many
                one.sweep(now)

    async def _sweep_on(self) -> None:
        try:
            while self.connections:
                await anyio.sleep(LOOK)
                self.sweep()
        finally:
            self._sweeping = False
