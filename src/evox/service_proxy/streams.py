"""Streams: an answer that is read part by part, each item as the type that the operation declares.

It is read with ``async for``; ``async with`` round that ends it where it is left in the middle. One that is left
without that is ended once nobody can read it any more.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from evox.service_proxy.items import Items

__all__ = ["Chunks", "NoAnswer", "Opened", "Stream"]


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


class Opened(NamedTuple):
    """A call that has begun to answer.

    Attributes:
        chunks: What comes in.
        items: Cuts that.
        failed: Makes the error of an answer that breaks off.
        dropped: Told of a body that is to be closed, since nobody can read it any more. It may be any thread.
    """

    chunks: Chunks
    items: Items
    failed: Callable[[NoAnswer], Exception]
    dropped: Callable[[Chunks], None]


class Stream:
    """An answer in parts. Made by ``async for ... in proxy.service.operation(...)``.

    Args:
        begin: Begins the call.
    """

    def __init__(self, begin: Callable[[], Awaitable[Opened]]) -> None:
        self._begin = begin
        self._opened: Opened | None = None
        self._ready: deque[bytes] = deque()
        self._ended = self._closed = False

    def __repr__(self) -> str:
        return f"<Stream {'ended' if self._ended else 'open' if self._opened is not None else 'not begun'}>"

    def __del__(self) -> None:
        if self._opened is not None and not self._closed:
            self._opened.dropped(self._opened.chunks)

    async def __aenter__(self) -> Self:
        if not self._ended:
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
        self._ended = self._closed = True
        self._ready.clear()
        if self._opened is not None:
            await self._opened.chunks.aclose()

    async def _open(self) -> Opened:
        if self._opened is None:
            self._opened = await self._begin()
        return self._opened

    async def _next(self) -> Any:
        if self._ended and not self._ready:
            raise StopAsyncIteration
        chunks, items, failed, _ = await self._open()
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            try:
                part = await chunks.receive()
            except NoAnswer as error:
                raise failed(error) from error.__cause__
            self._ended = part is None
            self._ready.extend(items.end() if part is None else items.feed(part))
        return items.value(self._ready.popleft())
