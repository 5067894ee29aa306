"""WebSocket: what hypercorn reads and does not tell its app, and what it lets pass.

The wsproto connection that hypercorn makes when an app accepts is watched through its event iterator.
"""

from collections.abc import Iterator
from typing import Any

from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import server_extensions_handshake

__all__ = ["Watched", "ping", "watch"]


class Watched(dict[str, Any]):
    """Code and reason of the client's close, once it is known."""


class _Close(Ping):
    """Makes hypercorn send a close frame: it sends whatever a ping answers with."""

    closing: CloseConnection

    def response(self) -> Any:
        """Return the close frame."""
        return self.closing


def watch(stream: Any, longest: int) -> Watched:
    """Watch a hypercorn WebSocket stream from before its handshake.

    Args:
        stream: Hypercorn's ``WSStream``.
        longest: Bytes of a message; a longer one closes with 1009.

    Returns:
        What the client closes with, filled in when it does.
    """
    handshake, said = stream.handshake, Watched()
    accept = handshake.accept
    if not _acceptable(handshake.extensions):
        handshake.extensions = None  # RFC 7692: an offer that does not fit is declined

    def accept_and_watch(*args: Any) -> Any:
        status, headers, connection = accept(*args)
        connection.events = _Events(connection, said, longest)
        return status, headers, connection

    handshake.accept = accept_and_watch
    return said


async def ping(stream: Any) -> None:
    """Ask the client for a sign of life. Hypercorn drops it when the WebSocket is not open."""
    if stream.handshake.accepted:
        await stream._send_wsproto_event(Ping())  # noqa: SLF001  no public way


class _Events:
    """Replaces a wsproto connection's ``events``: notes closes, measures messages, complains of malformed frames."""

    def __init__(self, connection: Any, said: Watched, longest: int) -> None:
        self._connection, self._said, self._longest = connection, said, longest
        self._read = connection.events
        self._length = 0

    def __call__(self) -> Iterator[Any]:
        """Yield events; after a complaint nothing but the end."""
        for event in self._read():
            if isinstance(event, CloseConnection):
                if self._connection.state is ConnectionState.OPEN:  # wsproto's word for a malformed frame
                    yield from self._end(int(event.code), event.reason or "")
                    return
                self._said.setdefault("code", int(event.code))
                self._said.setdefault("reason", event.reason or "")
            elif isinstance(event, Message):
                if self._connection.state is not ConnectionState.OPEN:
                    continue
                self._length += len(event.data.encode()) if isinstance(event.data, str) else len(event.data)
                if self._length > self._longest:
                    yield from self._end(CloseReason.MESSAGE_TOO_BIG, f"more than {self._longest} bytes")
                    return
                if event.message_finished:
                    self._length = 0
            yield event

    def _end(self, code: int, reason: str) -> Iterator[Any]:
        self._said.update(code=code, reason=reason)
        complaint = _Close()
        object.__setattr__(complaint, "closing", CloseConnection(code=code, reason=None))
        yield complaint
        yield CloseConnection(code=code, reason=reason)


def _acceptable(extensions: list[str] | None) -> bool:
    try:
        server_extensions_handshake(extensions or [], [PerMessageDeflate()])
    except Exception:  # noqa: BLE001  whatever it chokes on is not an offer
        return False
    return True
