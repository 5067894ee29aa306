"""Chunks: where a body in chunks ends (RFC 9112, section 7.1). What its bytes say is judged by the parser."""

import re
from typing import Final

from evox.serving.http1.head import Unusual

__all__ = ["Chunks"]

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?\r\n")
_LONGEST: Final = 4096  # bytes of one line
_TRAILERS: Final = 16_384  # bytes of all trailers


class Chunks:
    """Finds the end of one body.

    Attributes:
        complete: Whether it was found.
    """

    __slots__ = ("_data", "_line", "_trailers", "_trailing", "complete")

    def __init__(self) -> None:
        self._data = self._trailers = 0
        self._line = b""
        self._trailing = self.complete = False

    def __repr__(self) -> str:
        return f"<Chunks {'complete' if self.complete else 'to come'}>"

    def take(self, data: bytes) -> int:
        """Return how many of the next bytes belong to the body.

        Raises:
            Unusual: if they are no chunks.
        """
        at = 0
        while at < len(data) and not self.complete:
            if self._data:
                step = min(self._data, len(data) - at)
                self._data, at = self._data - step, at + step
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at:end] if end else data[at:]
            if len(self._line) > _LONGEST:
                raise Unusual
            if not end:
                return len(data)
            line, self._line, at = self._line, b"", end
            self._read(line)
        return at

    def _read(self, line: bytes) -> None:
        if self._trailing:
            self._trailers += len(line)
            if self._trailers > _TRAILERS:
                raise Unusual
            self.complete = line == b"\r\n"
            return
        found = _SIZE.fullmatch(line)
        if found is None:
            raise Unusual
        size = int(found[1], 16)
        self._trailing = size == 0
        self._data = size + 2 if size else 0  # the data, and the end of its line
