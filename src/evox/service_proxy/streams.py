"""Streams: an answer that is read part by part, each item as the type that the operation declares.

It is read with ``async for``; ``async with`` round that ends it where it is left in the middle. One that is left
without that is ended once nobody can read it any more.
"""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from evox.service_proxy.items import Items

__all__ = ["Chunks", "NoAnswer", "Stream"]


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


class Stream:
    """An answer in parts. Made by ``async for ... in proxy.service.operation(...)``.

    Args:
        begin: Begins the call.
        items: Cuts what comes in.
        failed: Makes the error of one that breaks off.
        dropped: Told of a body that is to be closed, since nobody can read it any more. It may be any thread.
    """

    def __init__(
        self,
        begin: Callable[[], Any],
        items: Callable[[str], Items],
        failed: Callable[[NoAnswer], Exception],
        dropped: Callable[[Chunks], None],
    ) -> None:
        self._begin, self._items_of, self._failed, self._dropped = begin, items, failed, dropped
        self._chunks: Chunks | None = None
        self._items: Items | None = None
        self._ready: deque[bytes] = deque()
        self._ended = self._closed = False

    def __repr__(self) -> str:
        return f"<Stream {'ended' if self._ended else 'open' if self._chunks is not None else 'not begun'}>"

    def __del__(self) -> None:
        if self._chunks is not None and not self._closed:
            self._dropped(self._chunks)

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
        self._ended = self._closed = True
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
            self._ready.extend(self._items.end() if part is None else self._items.feed(part))
        assert self._items is not None  # noqa: S101  it has made what is ready
        return self._items.value(self._ready.popleft())
