"""Listener: bound sockets and the accept loop.

Sockets are bound before anything starts, so that the port is known and a busy one is an error on one screen;
accepting starts after start-up. Closing takes what already waits in the kernel's queue, so that no connection made
before the close is reset.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup

from evox.errors import CannotBind, PortInUse

__all__ = ["Accept", "Listener", "bind"]

Accept: TypeAlias = Callable[[socket.socket], Coroutine[Any, Any, None]]
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE = 0.1
# So often those who wait in the kernel's queue are tried again at a close, while there is no descriptor for them.
TRIES = 50
# Connections accepted at a time: the rest is left to other workers that may be idle.
AT_ONCE = 4
_log = logging.getLogger("evox.serving")


def bind(host: str, port: int, *, service: str, backlog: int = 2048) -> socket.socket:
    """Bind and listen, without accepting.

    Args:
        host: Address or name of this machine; IPv4 or IPv6.
        port: 0 takes a free one.
        service: Whose socket it is, for the error.
        backlog: Connections the kernel queues before they are accepted.

    Raises:
        PortInUse: if another process listens there.
        CannotBind: if the operating system refuses the address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotBind(host, port, service, error) from error
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _watch_peers(bound)
        bound.bind(address)
        bound.listen(backlog)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port, service) from error
        raise CannotBind(host, port, service, error) from error
    return bound


def _watch_peers(bound: socket.socket) -> None:
    """Have the kernel ask whether a silent client still exists; accepted connections inherit it.

    A client whose machine or network is gone sends neither FIN nor RST, and a handler would wait for ever.
    """
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # Linux and newer macOS
            bound.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Listener:
    """Accepts connections on one bound socket.

    Args:
        bound: From ``bind``; closed by ``close``.
        accept: Serves one connection to its end, and closes it. It must not raise.
        service: Whose socket it is, for logs.
        secure: Whether clients are to speak TLS.
    """

    def __init__(self, bound: socket.socket, accept: Accept, *, service: str, secure: bool = False) -> None:
        self._socket = bound
        self._accept = accept
        self.service = service
        self._scheme = "https" if secure else "http"
        self._scope = anyio.CancelScope()
        self._closing = self._serving = False
        self._closed = anyio.Event()
        name = bound.getsockname()
        self.address: tuple[str, int] = name[:2] if isinstance(name, tuple) else (str(name), 0)
        self.accepted = 0

    def __repr__(self) -> str:
        return f"<Listener {self.url}{' closed' if self._closed.is_set() else ''}>"

    @property
    def url(self) -> str:
        """Where it listens, e.g. ``"http://127.0.0.1:8001"``."""
        host, port = self.address
        return f"{self._scheme}://[{host}]:{port}" if ":" in host else f"{self._scheme}://{host}:{port}"

    async def serve(self, connections: TaskGroup) -> None:
        """Accept until ``close``; each connection becomes a child of ``connections``."""
        if self._closing:
            return
        self._serving = True
        try:
            with self._scope:
                # uvloop cancels nobody who is woken in each turn of the loop, as one is whom clients never leave alone.
                while not self._closing:
                    await anyio.wait_readable(self._socket)
                    try:
                        self._take(connections, at_most=AT_ONCE)
                    except OSError as error:
                        if error.errno not in _EXHAUSTED:
                            _log.warning("accept for %s failed: %s", self.service, error)
                        await anyio.sleep(PAUSE)
            tries = 0
            while not self._take_rest(connections) and tries < TRIES:
                tries += 1
                await anyio.sleep(PAUSE)
        finally:
            # Closed here, once the loop watches the descriptor no more: it may get a new owner at once.
            self._end(connections)

    def close(self, connections: TaskGroup) -> None:
        """Take what waits in the kernel's queue, then listen no more; ``wait_closed`` says when that is done."""
        self._closing = True
        self._scope.cancel()
        if not self._serving:
            self._end(connections)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await self._closed.wait()

    def _end(self, connections: TaskGroup) -> None:
        if self._closed.is_set():
            return
        if self._closing and not self._take_rest(connections):
            _log.warning("connections waiting for %s were lost: out of descriptors", self.service)
        self._socket.close()
        self._closed.set()

    def _take_rest(self, connections: TaskGroup) -> bool:
        """Take what waits in the kernel's queue; return False when there is no descriptor for some of it."""
        try:
            self._take(connections)
        except OSError as error:
            if error.errno in _EXHAUSTED:
                return False
            _log.warning("connections waiting for %s were lost: %s", self.service, error)
        return True

    def _take(self, connections: TaskGroup, at_most: int | None = None) -> None:
        taken = 0
        while taken != at_most:
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            connection.setblocking(False)
            if self._socket.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            taken += 1
            connections.start_soon(self._accept, connection, name=f"svc:{self.service}/connection")
