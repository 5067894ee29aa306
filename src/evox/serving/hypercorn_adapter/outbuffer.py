"""Out buffer: what an app has sent on an HTTP/2 stream and the client's window has no room for yet."""

from hypercorn.protocol.h2 import BufferCompleteError, StreamBuffer

__all__ = ["OutBuffer"]

HIGH = 65_536
LOW = HIGH // 2


class OutBuffer(StreamBuffer):
    """Hypercorn's, with back-pressure: its own lets an app go on as soon as anything was asked of it, even nothing."""

    @property
    def ended(self) -> bool:
        """Whether the app has sent its last byte, or nobody wants it."""
        return self._complete

    async def push(self, data: bytes) -> None:
        """Add bytes, and wait while there are too many.

        Raises:
            BufferCompleteError: if the stream is over.
        """
        if self._complete:
            raise BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= HIGH and not self._complete:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        """Take up to so many bytes."""
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < LOW:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data
