"""Protocol: what the listener needs from an implementation of HTTP. A second can stand beside hypercorn's."""

from typing import Protocol

from anyio.abc import SocketStream

__all__ = ["ConnectionProtocol"]


class ConnectionProtocol(Protocol):
    """Serves the connections of one app."""

    @property
    def connections(self) -> int:
        """Connections open now."""

    async def serve(self, stream: SocketStream) -> None:
        """Serve one connection to its end, and close it. Must not raise: no input may reach other connections."""

    async def finish(self) -> None:
        """Close each connection once it is idle; what is being answered is finished first."""
