"""Connections: those of one app, within limits; which protocol serves each, and how all of them end.

Plain ones begin in the fast lane, unless the configuration says otherwise, and go on under hypercorn with the first
request that the fast lane does not serve. Those with TLS are hypercorn's from the beginning.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain

import anyio
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.tls import TLSStream
from starlette.types import ASGIApp

from evox import events
from evox.config import ServingSettings
from evox.failures import root_cause
from evox.serving.complaints import Complaints, Reason
from evox.serving.forwarded import Forwarded
from evox.serving.http1 import Connection as Http1Connection
from evox.serving.http1 import Lane
from evox.serving.hypercorn_adapter import Connection, Shared
from evox.serving.protocol import GONE, LAST_CALL, LINGER, Addresses, ServingStatistics, addresses_of
from evox.serving.readiness import Readiness
from evox.serving.surplus import Surplus
from evox.serving.wire_stream import WireStream
from evox.serving.wires import open_wire
from evox.strays import contained

__all__ = ["Connections"]

TICK = 0.01


class Connections:
    """Serves connections of one app.

    Args:
        app: The ASGI app.
        settings: Limits and timeouts.
        service: The service's name, for logs and events.
        group: Runs what outlives the task of a single connection.
        tls: Turns TLS on; None serves plain HTTP.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServingSettings,
        *,
        service: str,
        group: TaskGroup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        app = Forwarded(app, settings.forwarded_from) if settings.forwarded_from else app
        self._settings = settings
        self._service = service
        self._group = group
        self._tls = tls
        self._lane = Lane(app, settings, group, self._go_on) if tls is None and settings.http1 == "fast" else None
        self._shared = Shared(app, settings)
        self._rest: set[Connection] = set()
        self._complaints = Complaints(service)
        self._surplus = Surplus()
        self._readiness = Readiness(group)
        self._open = self._total = 0

    def __repr__(self) -> str:
        return f"<Connections of {self._service!r}, {self._open} open>"

    def statistics(self) -> ServingStatistics:
        """Return how many connections there are and were, and what clients did wrong."""
        return ServingStatistics(self._open, self._total, self._complaints.counts)

    async def serve(self, raw: socket.socket) -> None:
        """Serve one accepted connection to its end. An error in it is reported and goes no further."""
        self._total += 1
        if self._open >= self._settings.connections:
            await self._turn_away(raw)
            return
        self._open += 1
        try:
            addresses = addresses_of(raw)
            wire = await open_wire(raw, self._readiness)
        except OSError:  # its client has left already
            self._open -= 1
            raw.close()
            return
        peer = _name(addresses)
        if self._lane is not None:
            await self._serve_fast(Http1Connection(self._lane, wire, addresses, partial(self._note, peer)), peer)
        else:
            await self._serve_rest(WireStream(wire), addresses, peer)

    def sweep(self) -> None:
        """Look now at the connections of the fast lane."""
        if self._lane is not None:
            self._lane.sweep()

    async def leave_soon(self) -> None:
        """Ask clients to send their next requests elsewhere."""
        self._shared.context.leaving = True
        for connection in list(self._rest):
            await connection.leave_soon()

    async def finish(self) -> None:
        """Close each connection once it is idle; what is being answered is finished first.

        Returns when each connection is closed or is being answered, so that no request is missed that was on its way.
        """
        self._shared.context.leaving = True
        await self._shared.context.terminated.set()
        if self._lane is not None:
            self._lane.finish()
        for connection in self._rest:
            connection.finish()
        with anyio.move_on_after(LAST_CALL + 2 * TICK):
            await anyio.sleep(TICK)  # for those that were accepted last
            while self._open > len(self._all) or any(one.idle for one in self._all):
                await anyio.sleep(TICK)
                self.sweep()

    def abort(self) -> None:
        """Close every connection now."""
        for connection in self._all:
            connection.abort()

    @property
    def _all(self) -> list[Connection | Http1Connection]:
        return list(chain(self._rest, self._lane.connections if self._lane is not None else ()))

    def _note(self, peer: str, reason: Reason, detail: str) -> None:
        self._complaints.note(reason, peer, detail)

    @contextmanager
    def _guarded(self, peer: str) -> Iterator[None]:
        """Let nothing that goes wrong with one connection reach the others."""
        try:
            with contained("a connection", own=True):
                yield
        except GONE:
            return
        except Exception as error:  # noqa: BLE001  no input may reach other connections
            cause = root_cause(error)
            self._complaints.note(Reason.FAILED, peer, f"{type(cause).__name__}: {cause}")
            events.notify(events.ConnectionFailed(self._service, peer, error))

    async def _turn_away(self, raw: socket.socket) -> None:
        with self._guarded("a surplus connection"):
            try:
                self._complaints.note(Reason.SURPLUS, _name(addresses_of(raw)))
            except OSError:
                raw.close()
                return
            stream = WireStream(await open_wire(raw))
            try:
                await self._surplus.refuse(stream, secure=self._tls is not None)
            finally:
                await _close(stream)

    async def _serve_fast(self, connection: Http1Connection, peer: str) -> None:
        """Serve a connection in the fast lane, and what that leaves by hypercorn."""
        assert self._lane is not None  # noqa: S101  its connections come from it
        rest = None
        self._lane.add(connection)
        try:
            with self._guarded(peer):
                rest = await connection.run()
        finally:
            self._lane.connections.discard(connection)
            if rest is None and not connection.relieved:
                self._open -= 1
                await _close(WireStream(connection.wire))
        if rest is not None:
            await self._serve_rest(WireStream(connection.wire, rest), connection.addresses, peer)

    def _go_on(self, connection: Http1Connection) -> None:
        """Serve the wire of a connection whose app goes on after its answer."""
        peer = _name(connection.addresses)
        self._group.start_soon(self._serve_fast, connection.successor(), peer, name=f"svc:{self._service}/connection")

    async def _serve_rest(self, stream: WireStream, addresses: Addresses, peer: str) -> None:
        """Serve a connection by hypercorn."""
        try:
            with self._guarded(peer):
                secured = await self._secured(stream, peer)
                if secured is None:
                    return
                connection = Connection(self._shared, secured, addresses, partial(self._note, peer))
                self._rest.add(connection)
                try:
                    await connection.run()
                finally:
                    self._rest.discard(connection)
        finally:
            self._open -= 1
            await _close(stream)

    async def _secured(self, stream: WireStream, peer: str) -> ByteStream | None:
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


def _name(addresses: Addresses) -> str:
    client = addresses[0]
    return f"{client[0]}:{client[1]}" if client else "unix"


async def _close(stream: ByteStream) -> None:
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + LINGER):
        await stream.aclose()
