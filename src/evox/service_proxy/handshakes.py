"""Handshakes: closes a connection that was left while it was made.

httpcore forgets a socket whose TLS handshake is cancelled: it stays open until the garbage collector finds it, and a
peer that never finishes one could use up all descriptors.
"""

from typing import Any, Final

import anyio

__all__ = ["Handshake"]

CLOSING: Final = 1.0  # seconds


class Handshake:
    """The connection that one request may make, told by httpcore's ``trace`` extension."""

    def __init__(self) -> None:
        self._opened: Any = None

    def __repr__(self) -> str:
        return f"<Handshake {'under way' if self._opened is not None else 'none'}>"

    async def trace(self, event: str, facts: dict[str, Any]) -> None:
        """Take note of a connection that is open, and of one that others close from now on."""
        if event == "connection.connect_tcp.complete":
            self._opened = facts["return_value"]
        elif event == "connection.start_tls.complete":
            self._opened = None

    async def leave(self) -> None:
        """Close what nobody else does."""
        opened, self._opened = self._opened, None
        if opened is not None:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSING):
                await opened.aclose()
