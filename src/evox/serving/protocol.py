"""Protocol: what the listener needs from an implementation of HTTP. A second can stand beside hypercorn's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from anyio.abc import SocketStream

__all__ = ["ConnectionProtocol", "ServingStatistics"]


@dataclass(frozen=True, slots=True)
class ServingStatistics:
    """Connections of one listener.

    Attributes:
        connections: Open now.
        total: Accepted since the start.
        complaints: What clients did wrong, by reason, e.g. ``{"malformed": 3}``.
    """

    connections: int
    total: int
    complaints: Mapping[str, int]


class ConnectionProtocol(Protocol):
    """Serves the connections of one app."""

    def statistics(self) -> ServingStatistics:
        """Return how many connections there are and were, and what clients did wrong."""

    async def serve(self, stream: SocketStream) -> None:
        """Serve one connection to its end, and close it. Must not raise: no input may reach other connections."""

    async def leave_soon(self) -> None:
        """Ask clients to send their next requests elsewhere; they are still answered here."""

    async def finish(self) -> None:
        """Close each connection once it is idle; what is being answered is finished first."""

    def abort(self) -> None:
        """Close every connection now."""
