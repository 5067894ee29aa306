"""Wire: one keep-alive connection of the load, with one request at a time under way.

The first answer of each connection is read and checked wholly. Of later ones only the length and the status line are
compared, which is much cheaper; one whose length differs is checked wholly again. The socket never blocks.
"""

import re
import socket
from typing import Final

from evox.bench.http.questions import Question

__all__ = ["Address", "Wire", "WrongAnswer"]

Address = tuple[str, int]

CONNECT: Final = 5.0
"""Seconds to connect."""
PIECE: Final = 262_144
"""Bytes that are read at once."""
_STATUS: Final = len(b"HTTP/1.1 200 ")
_SMALL: Final = 65_536
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)

_buffer: Final = bytearray(PIECE)
_view: Final = memoryview(_buffer)


class WrongAnswer(Exception):
    """What came is not what was asked for."""


class Wire:
    """One connection. ``ask`` and ``take`` are called by whoever watches ``descriptor``.

    Attributes:
        descriptor: Of the socket.
        answers: Whole answers so far.
        sent: When the request that is under way was sent, or should have been; the caller's to set.
    """

    __slots__ = (
        *("_got", "_head", "_question", "_received", "_request", "_rest", "_socket", "_want"),
        *("answers", "descriptor", "sent"),
    )

    def __init__(self, address: Address, question: Question, request: bytes) -> None:
        self._socket = socket.create_connection(address, CONNECT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._question, self._request = question, request
        self._head, self._want = b"", -1
        self._received, self._got = b"", 0
        self._rest = memoryview(b"")
        self.descriptor = self._socket.fileno()
        self.answers, self.sent = 0, 0.0

    def __repr__(self) -> str:
        return f"<Wire {self._question.name} answers={self.answers}>"

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()

    def ask(self) -> bool:
        """Send the request; return whether all of it went, else ``more`` is called when the socket takes more."""
        count = self._socket.send(self._request)
        if count == len(self._request):
            return True
        self._rest = memoryview(self._request)[count:]
        return False

    def more(self) -> bool:
        """Send what is left; return whether that was all."""
        self._rest = self._rest[self._socket.send(self._rest) :]
        return not self._rest

    def take(self) -> bool:
        """Read what is there; return whether the answer is whole.

        Raises:
            WrongAnswer: if it is not what was asked for, or the connection ended.
        """
        count = self._socket.recv_into(_view)
        if count == self._want and not self._got and _buffer.startswith(self._head):
            self.answers += 1
            return True
        return self._took(count)

    def _took(self, count: int) -> bool:
        if not count:
            raise WrongAnswer("the server closed the connection")
        self._got += count
        if self._want > _SMALL:
            return self._counted(count)
        self._received += _view[:count]
        if not self._whole():
            return False
        self.answers += 1
        self._received, self._got = b"", 0
        return True

    def _counted(self, count: int) -> bool:
        """Count what belongs to a large answer, without keeping it."""
        if self._got == count and not _buffer.startswith(self._head[:count]):
            raise WrongAnswer(f"another answer: {bytes(_view[:100])!r}")
        if self._got < self._want:
            return False
        if self._got > self._want:
            raise WrongAnswer(f"{self._got} bytes in place of {self._want}")
        self.answers += 1
        self._got = 0
        return True

    def _whole(self) -> bool:
        """Return whether an answer is there wholly, and check it when it is."""
        received = self._received
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, body = received[: end + 2], received[end + 4 :]
        length = _LENGTH.search(head)
        if length is not None:
            if len(body) < int(length[1]):
                return False
            surplus, body = len(body) - int(length[1]), body[: int(length[1])]
        elif _CHUNKED.search(head):
            if not body.endswith(b"0\r\n\r\n"):
                return False
            body, surplus = _joined(body), 0
        else:
            raise WrongAnswer(f"an answer of unknown length: {head[:100]!r}")
        wrong = self._question.wrong(int(head[9:12]), body)
        if wrong is not None or surplus:
            raise WrongAnswer(wrong or "more than was asked for")
        self._want, self._head = len(received), head[:_STATUS]
        return True


def _joined(chunks: bytes) -> bytes:
    """Return the body that chunks make."""
    body, rest = b"", chunks
    while True:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size.partition(b";")[0], 16)
        if not count:
            return body
        body, rest = body + rest[:count], rest[count + 2 :]
