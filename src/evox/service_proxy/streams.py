"""Streams: an answer that is read part by part, each item as the type that the operation declares.

It is read with ``async for``; ``async with`` round that ends it where it is left in the middle.
"""

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol, Self

from evox.errors import UnusableAnswer
from evox.services.operations import Streams

__all__ = ["Chunks", "Items", "NoAnswer", "Stream"]

LINE: Final = 1_048_576  # bytes of one item


class NoAnswer(Exception):
    """There was no answer.

    Attributes:
        why: What happened, for people.
        sent: Whether the callee may have got any of the call.
        final: Whether trying again is of no use.
        is_timeout: Whether time was over.
    """

    def __init__(self, why: str, *, sent: bool, final: bool = False, is_timeout: bool = False) -> None:
        super().__init__(why)
        self.why, self.sent, self.final, self.is_timeout = why, sent, final, is_timeout


class Chunks(Protocol):
    """The body of an answer, as it comes in."""

    @property
    def media(self) -> str:
        """Its content type."""

    async def receive(self) -> bytes | None:
        """Return the next part; None at its end.

        Raises:
            NoAnswer: if it breaks off.
        """

    async def aclose(self) -> None:
        """Read no more of it."""


class Items:
    """Cuts a stream into items.

    Args:
        kind: How it is written; None for parts as they come.
        read: Reads one item of JSON.
        unusable: Makes the error of one that cannot be read.
    """

    def __init__(
        self, kind: Streams | None, read: Callable[[bytes], Any], unusable: Callable[[str], UnusableAnswer]
    ) -> None:
        self._kind, self._read, self._unusable = kind, read, unusable
        self._rest = b""

    def feed(self, part: bytes) -> list[Any]:
        """Return the items that are complete with one more part.

        Raises:
            UnusableAnswer: if one cannot be read.
        """
        if self._kind in (None, "raw"):
            return [part]
        end = b"\n" if self._kind == "jsonl" else b"\n\n"
        if self._kind == "sse":
            part = part.replace(b"\r\n", b"\n")
        *whole, self._rest = (self._rest + part).split(end)
        if len(self._rest) > LINE:
            raise self._unusable(f"an item of it is longer than {LINE} bytes")
        return [item for one in whole for item in self._items(one)]

    def end(self) -> list[Any]:
        """Return what is left at the end."""
        rest, self._rest = self._rest, b""
        return self._items(rest) if rest.strip() else []

    def _items(self, text: bytes) -> list[Any]:
        if self._kind == "jsonl":
            return [self._read(text)] if text.strip() else []
        data = [line[5:].removeprefix(b" ") for line in text.split(b"\n") if line.startswith(b"data:")]
        if not data:
            return []  # a comment that keeps the connection alive
        joined = b"\n".join(data)
        try:
            json.loads(joined)
        except ValueError:
            return [joined.decode(errors="replace")]  # an event may carry any text
        return [self._read(joined)]


class Stream:
    """An answer in parts. Made by ``async for ... in proxy.service.operation(...)``.

    Args:
        begin: Begins the call.
        items: Cuts what comes in.
        failed: Makes the error of one that breaks off.
    """

    def __init__(
        self, begin: Callable[[], Any], items: Callable[[str], Items], failed: Callable[[NoAnswer], Exception]
    ) -> None:
        self._begin, self._items_of, self._failed = begin, items, failed
        self._chunks: Chunks | None = None
        self._items: Items | None = None
        self._ready: list[Any] = []
        self._ended = False

    def __repr__(self) -> str:
        return f"<Stream {'ended' if self._ended else 'open' if self._chunks is not None else 'not begun'}>"

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return the next item.

        Raises:
            CallError: if the callee fails, or what it sends cannot be read.
        """
        try:
            return await self._next()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Read no more of it."""
        self._ended = True
        self._ready.clear()
        if self._chunks is not None:
            await self._chunks.aclose()

    async def _open(self) -> None:
        if self._chunks is None and not self._ended:
            self._chunks = await self._begin()
            self._items = self._items_of(self._chunks.media)

    async def _next(self) -> Any:
        await self._open()
        while not self._ready:
            if self._ended or self._chunks is None or self._items is None:
                raise StopAsyncIteration
            try:
                part = await self._chunks.receive()
            except NoAnswer as error:
                raise self._failed(error) from error.__cause__
            self._ended = part is None
            self._ready = self._items.end() if part is None else self._items.feed(part)
        return self._ready.pop(0)
