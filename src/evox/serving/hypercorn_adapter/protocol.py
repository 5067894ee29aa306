"""Protocol: the connections of one app, within limits."""

import ssl
from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import ByteStream, SocketStream
from anyio.streams.tls import TLSStream
from starlette.types import ASGIApp

from evox import events
from evox.config import ServingSettings
from evox.failures import root_cause
from evox.serving.complaints import Complaints, Reason
from evox.serving.forwarded import Forwarded
from evox.serving.hypercorn_adapter.connection import GONE, LAST_CALL, LINGER, Address, Connection, addresses_of
from evox.serving.hypercorn_adapter.interfaces import Context, Wrapper, config_of
from evox.serving.protocol import ServingStatistics
from evox.serving.surplus import Surplus

__all__ = ["HypercornProtocol"]

TICK = 0.01


class HypercornProtocol:
    """Serves connections of one app.

    Args:
        app: The ASGI app.
        settings: Limits and timeouts.
        service: The service's name, for logs and events.
        tls: Turns TLS on; None serves plain HTTP.
    """

    def __init__(
        self, app: ASGIApp, settings: ServingSettings, *, service: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._app = Wrapper(Forwarded(app, settings.forwarded_from) if settings.forwarded_from else app)
        self._settings = settings
        self._service = service
        self._tls = tls
        self._context = Context()
        self._config = config_of(settings)
        self._connections: set[Connection] = set()
        self._complaints = Complaints(service)
        self._surplus = Surplus()
        self._open = self._total = 0

    def __repr__(self) -> str:
        return f"<HypercornProtocol {self._service!r}, {self._open} connections>"

    def statistics(self) -> ServingStatistics:
        """Return how many connections there are and were, and what clients did wrong."""
        return ServingStatistics(self._open, self._total, self._complaints.counts)

    async def serve(self, stream: SocketStream) -> None:
        """Serve one connection to its end. An error in it is reported and goes no further."""
        peer = "unknown"
        self._total += 1
        surplus = self._open >= self._settings.connections
        self._open += not surplus
        try:
            addresses = addresses_of(stream)
            peer = f"{addresses[0][0]}:{addresses[0][1]}" if addresses[0] else "unix"
            if surplus:
                self._complaints.note(Reason.SURPLUS, peer)
                await self._surplus.refuse(stream, secure=self._tls is not None)
            else:
                secured = await self._secured(stream, peer)
                if secured is not None:
                    await self._run(secured, addresses, partial(self._note, peer))
        except GONE:
            return
        except Exception as error:  # noqa: BLE001  the guard: no input may reach other connections
            cause = root_cause(error)
            self._complaints.note(Reason.FAILED, peer, f"{type(cause).__name__}: {cause}")
            events.notify(events.ConnectionFailed(self._service, peer, error))
        finally:
            self._open -= not surplus
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + LINGER):
                await stream.aclose()

    async def leave_soon(self) -> None:
        """Ask clients to send their next requests elsewhere."""
        self._context.leaving = True
        for connection in list(self._connections):
            await connection.leave_soon()

    async def finish(self) -> None:
        """Close each connection once it is idle; what is being answered is finished first.

        Returns when each connection is closed or is being answered, so that no request is missed that was on its way.
        """
        self._context.leaving = True
        await self._context.terminated.set()
        for connection in self._connections:
            connection.finish()
        with anyio.move_on_after(LAST_CALL + TICK):
            await anyio.sleep(TICK)  # for those that were accepted last
            while self._open > len(self._connections) or any(one.idle for one in self._connections):  # noqa: ASYNC110
                await anyio.sleep(TICK)

    def abort(self) -> None:
        """Close every connection now."""
        for connection in self._connections:
            connection.abort()

    def _note(self, peer: str, reason: Reason, detail: str) -> None:
        self._complaints.note(reason, peer, detail)

    async def _run(
        self,
        stream: ByteStream,
        addresses: tuple[Address, Address],
        complain: Callable[[Reason, str], None],
    ) -> None:
        connection = Connection(self._app, self._config, self._context, stream, addresses, self._settings, complain)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def _secured(self, stream: SocketStream, peer: str) -> ByteStream | None:
        """Shake hands if there is TLS; None when the client cannot or will not."""
        if self._tls is None:
            return stream
        why = f"not done within {self._settings.header_timeout:g} s"
        with anyio.move_on_after(self._settings.header_timeout):
            try:
                return await TLSStream.wrap(stream, server_side=True, ssl_context=self._tls, standard_compatible=False)
            except ssl.SSLError as error:
                why = error.reason or str(error)
            except GONE:
                why = "the client left"
        self._complaints.note(Reason.TLS, peer, why)
        return None
