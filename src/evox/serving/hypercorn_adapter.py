"""Hypercorn adapter: hypercorn's HTTP/1.1, HTTP/2 and WebSocket protocols on anyio streams.

The only importer of hypercorn. Its protocol classes are used as they are, with small implementations of the
interfaces they ask for (task group, event, context) on anyio, so one file serves both loops. Its servers are not
used: under trio they end the process when one connection fails, and on both loops a client that stops reading makes
them hang at shutdown.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr
from starlette.types import ASGIApp
from wsproto.events import CloseConnection

from evox import events
from evox.config import ServingSettings

__all__ = ["HypercornProtocol"]

_log = logging.getLogger("evox.serving")
_READ = 65536
# After our last byte the client may still be sending: reading on for a moment keeps its kernel from dropping our
# answer.
LINGER = 1.0
# At the end of a drain an idle connection is read for this long, because a request may be on its way.
LAST_CALL = 0.25


class HypercornProtocol:
    """Serves connections of one app.

    Args:
        app: The ASGI app.
        settings: Limits and timeouts.
        service: The service's name, for logs and events.
    """

    def __init__(self, app: ASGIApp, settings: ServingSettings, *, service: str) -> None:
        self._app = _Wrapper(app)
        self._settings = settings
        self._service = service
        self._context = _Context()
        self._config = Config()
        self._config.include_server_header = False
        self._config.errorlog = None
        self._config.accesslog = None
        self._config.keep_alive_timeout = settings.keep_alive
        self._connections: set[_Connection] = set()
        self.failed = 0

    def __repr__(self) -> str:
        return f"<HypercornProtocol {self._service!r}, {len(self._connections)} connections>"

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    async def serve(self, stream: SocketStream) -> None:
        """Serve one connection to its end. An error in it is reported and goes no further."""
        connection = _Connection(self._app, self._config, self._context, stream, self._settings.keep_alive)
        self._connections.add(connection)
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001  the guard: no input may reach other connections
            self.failed += 1
            _log.warning("connection from %s failed: %s", connection.peer, _brief(error))
            events.notify(events.ConnectionFailed(self._service, connection.peer, error))
        finally:
            self._connections.discard(connection)
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + LINGER):
                await stream.aclose()

    async def finish(self) -> None:
        """Close each connection once it is idle; what is being answered is finished first."""
        await self._context.terminated.set()
        for connection in self._connections:
            connection.finish()


def _brief(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


class _Connection:
    """One connection: a reading loop in its own task; hypercorn's protocol starts one more for each request."""

    def __init__(
        self, app: "_Wrapper", config: Config, context: "_Context", stream: SocketStream, keep_alive: float
    ) -> None:
        self._app, self._config, self._context = app, config, context
        self._stream = stream
        self._keep_alive = keep_alive
        self._sending = anyio.Lock()
        self._reading = anyio.CancelScope()
        self._idle = True
        self._closing = False
        self._protocol: ProtocolWrapper
        self.peer = "unknown"

    async def run(self) -> None:
        raw = self._stream.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
        client = parse_socket_addr(raw.family, raw.getpeername())
        server = parse_socket_addr(raw.family, raw.getsockname())
        self.peer = f"{client[0]}:{client[1]}" if client else "unix"
        async with anyio.create_task_group() as group:
            make: Callable[..., ProtocolWrapper] = ProtocolWrapper  # its interfaces ask for more than it uses
            self._protocol = make(
                self._app,
                self._config,
                self._context,
                _Tasks(group),
                ConnectionState({}),
                ssl=False,
                client=client,
                server=server,
                send=self._send,
                alpn_protocol="http/1.1",
            )
            await self._protocol.initiate()
            await self._read()
            await self._protocol.handle(Closed())
        if self._closing:
            await self._linger()

    async def _read(self) -> None:
        """Feed the protocol until either side is done, or nothing comes for too long."""
        wait = LAST_CALL if self._context.terminated.is_set() else self._keep_alive
        self._reading.deadline = anyio.current_time() + wait
        while not self._closing:
            data = None
            with self._reading:
                try:
                    data = await self._stream.receive(_READ)
                except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    self._closing = False  # the client left first: there is nobody to wait for
                    return
            deadline, self._reading = self._reading.deadline, anyio.CancelScope()
            self._reading.deadline = deadline
            if data is None:
                return
            await self._protocol.handle(RawData(data))

    def finish(self) -> None:
        """Close as soon as nothing is being answered. A request already sent is still answered."""
        if self._idle:
            self._reading.deadline = min(self._reading.deadline, anyio.current_time() + LAST_CALL)

    async def _linger(self) -> None:
        try:
            await self._stream.send_eof()
            with anyio.move_on_after(LINGER):
                while True:
                    await self._stream.receive(_READ)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            try:
                async with self._sending:
                    await self._stream.send(event.data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._protocol.handle(Closed())
        elif isinstance(event, Closed):
            self._closing = True
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._idle = event.idle
            wait = LAST_CALL if self._context.terminated.is_set() else self._keep_alive
            self._reading.deadline = anyio.current_time() + wait if event.idle else float("inf")


class _Wrapper:
    """Hypercorn's app interface: an ASGI app called with two more arguments, for threads, that ASGI does not use."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any, *_: Any) -> None:
        await self.app(scope, receive, send)


class _Event:
    """Hypercorn's event interface."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def clear(self) -> None:
        self._event = anyio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    async def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()


class _Context:
    """Hypercorn's worker context: whether the server ends, and time."""

    event_class = _Event

    def __init__(self) -> None:
        self.terminate = _Event()
        self.terminated = _Event()

    async def mark_request(self) -> None:
        """Nothing: we count requests ourselves."""

    @staticmethod
    async def sleep(wait: float) -> None:
        await anyio.sleep(wait)

    @staticmethod
    def time() -> float:
        return anyio.current_time()


def _record_close(send: Any) -> dict[str, Any]:
    """Return what will hold the client's close code and reason, which hypercorn reads but does not tell the app."""
    stream, closing = send.__self__, dict[str, Any]()
    accept = stream.handshake.accept

    def accept_and_watch(*args: Any) -> Any:
        status, headers, connection = accept(*args)
        events_of = connection.events

        def events() -> Iterator[Any]:
            for event in events_of():
                if isinstance(event, CloseConnection) and not closing:
                    closing.update(code=int(event.code), reason=event.reason or "")
                yield event

        connection.events = events
        return status, headers, connection

    stream.handshake.accept = accept_and_watch
    return closing


class _Tasks:
    """Hypercorn's task group interface: starts the app for a request, and the protocol's own tasks."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        sender, receiver = anyio.create_memory_object_stream[Any](config.max_app_queue_size)
        closing = _record_close(send) if scope["type"] == "websocket" else None

        async def put(message: Any) -> None:
            if closing and message["type"] == "websocket.disconnect":
                message = {**message, **closing}
            try:
                await sender.send(message)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # the app has answered and reads no more

        async def run() -> None:
            with sender, receiver:
                await app(scope, receiver.receive, send)
            await send(None)

        self._group.start_soon(run)
        return put

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._group.start_soon(function, *args)
