"""Client: what a connection knows about the client of one request, and the door has to know too.

It travels in the ASGI scope, so that whoever answers needs no task to watch the connection: the connection calls.
"""

import math
import select
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel

__all__ = ["CLIENT", "LOOK", "Client", "client_of", "hung_up"]

CLIENT = "evox.client"  # where it is found, among the extensions of an ASGI scope
# Seconds between two looks at a connection that is not read for now.
LOOK = 0.1
_HANGUP = getattr(select, "POLLRDHUP", 0)  # Linux


class Client:
    """The client of one request.

    Attributes:
        gone: Whether it has left, or the request is over.
        told: Whether it has left, though some of what it sent may still be read.
        body_arrived: Whether the whole body has come, read by the app or not.
        length: Bytes of its body; -1 where only the headers, or the end of it, tell.
        on_gone: Called once when it leaves.
        scope: The cancel scope in which the request is answered, where its connection has one for all of its requests;
            None where whoever answers makes one.
        last_word: Where the connection has the scope: says what a client whose request was cancelled is still to hear.
        on_end: Called once that is said, or cannot be.
    """

    # What is not set stands here: of most requests little is.
    gone: bool = False
    told: bool = False
    body_arrived: bool = False
    length: int = -1
    on_gone: Callable[[], None] | None = None
    scope: anyio.CancelScope | None = None
    last_word: Callable[[], Awaitable[None]] | None = None
    on_end: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Client {'gone' if self.gone else 'there'}>"

    @property
    def answer(self) -> "Callable[[int, Any, bytes], Awaitable[None] | None] | None":
        """What sends a whole answer at once; None where its connection has no such thing."""
        return None

    @property
    def ready(self) -> bool:
        """Whether the next part of the body is here, so that nobody has to wait for it; False if that is not known."""
        return False

    def take_body(self) -> bytes | None:
        """Return all of its body, of which nothing was received yet; None where that cannot be done without waiting."""
        return None

    def enter(self, scope: Mapping[str, Any]) -> None:
        """Make this known to whoever answers the request."""
        scope["extensions"][CLIENT] = self

    def leave(self) -> None:
        """Say that the client has left, and that nothing more of it will come; said again it means nothing."""
        if not self.gone:
            self.gone = True
            self.tell()

    def tell(self) -> None:
        """Say that the client has left, though some of what it sent is still to be read."""
        self.told = True
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()

    async def may_take(self) -> bool:
        """Whether who receives may be given what it sent: who only looks is told that it has left, if it has.

        Who looks, as Starlette's ``is_disconnected`` does, is cancelled before it asks, and is given nothing else.
        """
        if self.told and anyio.current_effective_deadline() == -math.inf:
            return False
        await anyio.lowlevel.checkpoint_if_cancelled()
        return True


def client_of(scope: Mapping[str, Any]) -> Client | None:
    """Return the client of a request; None under a server that does not tell."""
    found: Client | None = scope.get("extensions", {}).get(CLIENT)
    return found


def hung_up(descriptor: int) -> bool:
    """Return whether a client has closed its side, though some of what it sent is unread.

    Reading would tell only behind those bytes. Linux can be asked; elsewhere the answer is always no.
    """
    if descriptor < 0 or not _HANGUP:
        return descriptor < 0
    poll = select.poll()
    poll.register(descriptor, _HANGUP)
    return bool(poll.poll(0))
