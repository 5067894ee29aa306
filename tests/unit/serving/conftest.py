"""A client's side of an ASGI app, held in hand: what it sends next, and what the app has sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.types import ASGIApp, Message

from evox.serving import Inflight


class Client:
    """One request to an ASGI app: messages for it, messages from it."""

    def __init__(self, kind: str = "http", path: str = "/", version: str = "1.1") -> None:
        self.scope: dict[str, Any] = {
            "type": kind,
            "path": path,
            "root_path": "",
            "http_version": version,
            "headers": [],
            "extensions": {},
        }
        if kind == "http":
            self.scope["method"] = "GET"
        self.to_app, self.receiver = anyio.create_memory_object_stream[Message](10)
        self.sent: list[Message] = []
        self.changed = anyio.Event()

    async def receive(self) -> Message:
        return await self.receiver.receive()

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.changed.set()
        self.changed = anyio.Event()
        await anyio.lowlevel.checkpoint()

    async def wait(self, kind: str) -> Message:
        """Wait until the app has sent a message of a type, and return it."""
        with anyio.fail_after(5):
            while True:
                for message in self.sent:
                    if message["type"] == kind:
                        return message
                await self.changed.wait()

    async def call(self, app: ASGIApp) -> None:
        with self.to_app, self.receiver:
            await app(self.scope, self.receive, self.send)

    @property
    def status(self) -> int | None:
        return next((int(one["status"]) for one in self.sent if one["type"] == "http.response.start"), None)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(next(one["headers"] for one in self.sent if one["type"] == "http.response.start"))

    @property
    def types(self) -> list[str]:
        return [one["type"] for one in self.sent]


class App:
    """An ASGI app that waits: a request is answered when ``go`` is set."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.entered = anyio.Event()
        self.cancelled = False
        self.error: Exception | None = None
        self.parts = 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.entered.set()
        try:
            if scope["type"] == "websocket":
                await self.talk(receive, send)
                return
            if self.parts > 1:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"part", "more_body": True})
            await self.go.wait()
            if self.error is not None:
                raise self.error
            if self.parts == 1:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"end"})
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise

    async def talk(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            self.last = message
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message["text"]})


class Door:
    """An ``Inflight`` round an ``App``, and the nursery its requests run in."""

    def __init__(self, nursery: Any, **options: Any) -> None:
        self.app = App()
        self.errors: list[Exception] = []
        self.inflight = Inflight(self.app, service="shop", on_error=self.errors.append, **options)
        self._nursery = nursery

    async def open(self, kind: str = "http", path: str = "/", version: str = "1.1") -> Client:
        """Send a request and return once the app has it."""
        client = Client(kind, path, version)
        if kind == "websocket":
            await client.to_app.send({"type": "websocket.connect"})
        self.app.entered = anyio.Event()
        self._nursery.start_soon(client.call, self.inflight)
        with anyio.fail_after(5):
            await self.app.entered.wait()
        if kind == "websocket":
            await client.wait("websocket.accept")
        return client

    async def ask(self, kind: str = "http", path: str = "/", root_path: str = "") -> Client:
        """Send a request and return once it is over."""
        client = Client(kind, path)
        client.scope["root_path"] = root_path
        with anyio.fail_after(5):
            await client.call(self.inflight)
        return client

    async def idle(self) -> None:
        with anyio.fail_after(5):
            await self.inflight.wait_idle()


@asynccontextmanager
async def open_door(**options: Any) -> AsyncIterator[Door]:
    async with anyio.create_task_group() as nursery:
        yield Door(nursery, **options)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """Return an admitting door."""
    async with open_door(exempt=["/health"]) as door:
        door.inflight.admit()
        yield door
