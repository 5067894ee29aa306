"""Surplus: what is told to connections above the limit. It costs next to nothing: it is for when there are many."""

import contextlib
from typing import Final

import anyio
from anyio.abc import ByteStream

__all__ = ["Surplus"]

_BODY: Final = (
    b'{"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "too many connections"}'
)
_ANSWER: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
# So many at a time are given a moment to read their answer; the others are closed at once.
AT_A_TIME: Final = 100
MOMENT: Final = 1.0


class Surplus:
    """Refuses connections."""

    def __init__(self) -> None:
        self._refusing = 0

    def __repr__(self) -> str:
        return f"<Surplus, refusing {self._refusing}>"

    async def refuse(self, stream: ByteStream, *, secure: bool) -> None:
        """Answer 503 without reading the request; the caller closes the stream.

        Args:
            stream: The connection.
            secure: Whether the client expects TLS, in which a handshake would cost more than an answer is worth.
        """
        if secure or self._refusing >= AT_A_TIME:
            return
        self._refusing += 1
        try:
            with anyio.move_on_after(MOMENT), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.send(_ANSWER)
                await stream.send_eof()
                while True:  # until the client has read it: closing with unread bytes would take the answer back
                    await stream.receive()
        finally:
            self._refusing -= 1
