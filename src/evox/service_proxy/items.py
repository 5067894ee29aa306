"""Items: what a stream consists of, cut out of the parts in which it arrives, wherever those end.

JSON lines are separated by line feeds; events (WHATWG HTML, section 9.2) by empty lines, whose line ends are of three
kinds. An item is read when it is asked for: one that cannot be read does not take those before it along.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from evox.errors import UnusableAnswer
from evox.services.operations import Streams

__all__ = ["Items"]

_MARK: Final = b"\xef\xbb\xbf"


class Items:
    """Cuts a stream into items.

    Args:
        kind: How it is written; None for parts as they come.
        read: Reads one item of JSON.
        unusable: Makes the error of one that cannot be read.
        limit: Bytes of one item at most.
    """

    def __init__(
        self,
        kind: Streams | None,
        read: Callable[[bytes], Any],
        unusable: Callable[[str], UnusableAnswer],
        limit: int,
    ) -> None:
        self._kind = None if kind == "raw" else kind
        self._read, self._unusable, self._limit = read, unusable, limit
        self._end = b"\n\n" if kind == "sse" else b"\n"
        self._rest: list[bytes] = []
        self._size = 0
        self._is_cut = False  # between the two bytes of a line end

    def __repr__(self) -> str:
        return f"<Items {self._kind or 'raw'}, {self._size} bytes waiting>"

    def feed(self, part: bytes) -> list[bytes]:
        """Return the items that are complete with one more part, as they are written.

        Raises:
            UnusableAnswer: if one has become too long.
        """
        if self._kind is None:
            return [part]
        self._check(self._size)
        if self._kind == "sse":
            part = self._normal(part)
        if not part:
            return []
        last = self._rest[-1][-1:] if self._rest else b""
        self._rest.append(part)
        self._size += len(part)
        if self._end not in last + part:
            return []
        *whole, rest = b"".join(self._rest).split(self._end)
        self._rest, self._size = [rest] if rest else [], len(rest)
        return [one for one in whole if self._holds(one)]

    def end(self) -> list[bytes]:
        """Return what is left at the end."""
        rest, self._rest, self._size = b"".join(self._rest), [], 0
        return [rest] if self._holds(rest) else []

    def value(self, text: bytes) -> Any:
        """Return what one item stands for.

        Raises:
            UnusableAnswer: if it cannot be read.
        """
        if self._kind is None:
            return text
        self._check(len(text))
        if self._kind == "jsonl":
            return self._read(text)
        joined = b"\n".join(_data(text))
        try:
            json.loads(joined)
        except ValueError:
            return joined.decode(errors="replace")  # an event may carry any text
        except RecursionError:
            raise self._unusable("an event of it is nested too deep") from None
        return self._read(joined)

    def _holds(self, text: bytes) -> bool:
        """Whether there is an item in a text, and no empty line, or a comment that keeps the connection alive."""
        return bool(_data(text)) if self._kind == "sse" else bool(text.strip())

    def _normal(self, part: bytes) -> bytes:
        """Return a part with line feeds for all line ends."""
        if self._is_cut and part.startswith(b"\n"):
            part = part[1:]
            self._is_cut = False
        if part:
            self._is_cut = part.endswith(b"\r")
        return part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise self._unusable(f"an item of it is longer than {self._limit} bytes")


def _data(text: bytes) -> list[bytes]:
    """Return the lines of data of an event."""
    lines = text.removeprefix(_MARK).split(b"\n")
    return [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
