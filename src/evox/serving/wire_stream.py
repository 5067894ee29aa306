"""Wire stream: what is left of a wire as an anyio stream, for the protocols that are served by hypercorn."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, SocketAttribute

from evox.serving.wires import Wire

__all__ = ["WireStream"]


class WireStream(ByteStream):
    """A byte stream on a wire.

    Args:
        wire: The wire; closed with the stream.
        read: What was read of it already, and is received first.
    """

    def __init__(self, wire: Wire, read: bytes = b"") -> None:
        self._wire = wire
        self._read = read
        self._closed = False

    def __repr__(self) -> str:
        return f"<WireStream, {len(self._read)} bytes read ahead>"

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """Return up to so many bytes.

        Raises:
            anyio.EndOfStream: if the client has closed its side.
            anyio.ClosedResourceError: if this side has.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        if self._read:
            await anyio.lowlevel.checkpoint()
        else:
            self._read = await self._wire.receive()
            if not self._read:
                raise anyio.EndOfStream
        data, self._read = self._read[:max_bytes], self._read[max_bytes:]
        return data

    async def send(self, item: bytes) -> None:
        """Send.

        Raises:
            anyio.BrokenResourceError: if the client has gone.
            anyio.ClosedResourceError: if this side was closed.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        await anyio.lowlevel.checkpoint()
        try:
            if not self._wire.put(item):
                await self._wire.flush()
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self._wire.end()
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close the wire."""
        self._closed = True
        await self._wire.close()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The socket."""
        return {SocketAttribute.raw_socket: lambda: self._wire.raw}
