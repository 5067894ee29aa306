"""Lifespan: runs the ASGI lifespan protocol of an app in a task of its own.

The app's start-up and shutdown happen in one task, as its context managers demand; a failure of either is the real
error, not the text that the protocol carries.
"""

from collections.abc import MutableMapping
from typing import Any

import anyio
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Message

__all__ = ["Lifespan"]


class Lifespan:
    """One start and stop of an app.

    Args:
        app: The ASGI app.
        state: Filled by the app's start-up; each request gets a copy.
    """

    def __init__(self, app: ASGIApp, state: MutableMapping[str, Any]) -> None:
        self._app = app
        self._state = state
        self._asked = anyio.Event()
        self._started = False
        self._failure = ""
        self.finished = anyio.Event()

    def __repr__(self) -> str:
        return f"<Lifespan {'started' if self._started else 'not started'}>"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Start the app, report that it started, and hold it open until ``shutdown``.

        Raises:
            Exception: whatever the app's start-up or shutdown raised.
            RuntimeError: if the app said that it failed without raising.
        """
        messages = iter(({"type": "lifespan.startup"},))

        async def receive() -> Message:
            for message in messages:
                return message
            await self._asked.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._started = True
                task_status.started()
            elif message["type"].endswith(".failed"):
                self._failure = message.get("message", "") or "the app gave no reason"

        try:
            scope = {
                "type": "lifespan",
                "asgi": {"version": "3.0", "spec_version": "2.0"},
                "state": self._state,
            }
            await self._app(scope, receive, send)
        finally:
            self.finished.set()
        if self._failure or not self._started:
            raise RuntimeError(f"lifespan failed: {self._failure or 'the app returned before it had started'}")

    async def shutdown(self) -> None:
        """Ask the app to shut down and wait until it has."""
        self._asked.set()
        await self.finished.wait()
