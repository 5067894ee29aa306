"""Client: what a connection knows about the client of one request, and the door has to know too.

It travels in the ASGI scope, so that whoever answers needs no task to watch the connection: the connection calls.
"""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Client", "client_of"]

_KEY = "evox.client"


class Client:
    """The client of one request.

    Attributes:
        gone: Whether it has left, or the request is over.
        body_arrived: Whether the whole body has come, read by the app or not.
        on_gone: Called once when it leaves.
    """

    def __init__(self) -> None:
        self.gone = self.body_arrived = False
        self.on_gone: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Client {'gone' if self.gone else 'there'}>"

    def enter(self, scope: Mapping[str, Any]) -> None:
        """Make this known to whoever answers the request."""
        scope["extensions"][_KEY] = self

    def leave(self) -> None:
        """Say that the client has left; said again it means nothing."""
        if not self.gone:
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()


def client_of(scope: Mapping[str, Any]) -> Client | None:
    """Return the client of a request; None under a server that does not tell."""
    found: Client | None = scope.get("extensions", {}).get(_KEY)
    return found
