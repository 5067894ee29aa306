"""Readiness: tells tasks on trio when there is something to read for them, all connections by one wait of the loop.

A task that waits for its own socket makes the loop tell the kernel of it, and take that back, for each request. Here
the kernel knows each socket once, in an epoll of its own; the loop waits for that, and one task wakes the others.
"""

import select
import socket
from typing import Any, Final

import anyio
import trio
from anyio.abc import TaskGroup
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_readable, wait_task_rescheduled

__all__ = ["Readable", "Readiness"]

_MANY: Final = 256  # that are woken by one look


class Readable:
    """One socket that is watched.

    Attributes:
        maybe: Whether there may be something to read: each time the kernel says so, until a reader finds nothing more.
        ended: Whether to read on until nothing is there: the client has closed its side, which is read too, or has sent
            something urgent, at which a read ends though there is more behind it.
    """

    __slots__ = ("_waiting", "ended", "maybe")

    def __init__(self) -> None:
        self.maybe, self.ended = True, False  # what came before it was watched is not told
        self._waiting: trio.lowlevel.Task | None = None

    def __repr__(self) -> str:
        return f"<Readable {'now' if self.maybe else 'later'}>"

    async def wait(self) -> None:
        """Wait until there may be something to read.

        Raises:
            trio.BusyResourceError: if another task waits for it already.
        """
        if self._waiting is not None:
            raise trio.BusyResourceError("another task reads from this connection")
        self._waiting = current_task()
        await wait_task_rescheduled(self._give_up)

    def tell(self, *, ended: bool) -> None:
        """Say that there is something to read."""
        self.maybe, self.ended = True, self.ended or ended
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            reschedule(waiting)

    def _give_up(self, _: RaiseCancelT) -> Abort:
        self._waiting = None
        return Abort.SUCCEEDED


class Readiness:
    """The sockets of one port.

    Args:
        group: Runs what wakes their readers, for as long as there are sockets.
    """

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._watched: dict[int, Readable] = {}
        self._poll: Any = None  # an epoll, where the system has such a thing
        self._scope = anyio.CancelScope()

    def __repr__(self) -> str:
        return f"<Readiness of {len(self._watched)} sockets>"

    def watch(self, raw: socket.socket) -> Readable | None:
        """Watch a socket until ``forget``; None where the system has nothing to do that with."""
        if not hasattr(select, "epoll"):
            return None
        is_first = not self._watched
        if is_first:
            self._poll, self._scope = select.epoll(), anyio.CancelScope()
        # Told once each time that more comes: a socket that nobody reads for now is not told of again and again.
        self._poll.register(raw, select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLET)
        one = self._watched[raw.fileno()] = Readable()
        if is_first:
            self._group.start_soon(self._tell, self._poll, self._scope, name="readiness")
        return one

    def forget(self, raw: socket.socket) -> None:
        """Watch a socket no more; it has to be open still."""
        del self._watched[raw.fileno()]
        self._poll.unregister(raw)
        if not self._watched:
            self._scope.cancel()
            self._poll = None  # it is closed when nobody has it any more: until then the loop may know it

    async def _tell(self, poll: Any, scope: anyio.CancelScope) -> None:
        """Wake readers. Each time that the first socket comes after the last has gone this begins anew."""
        ends = select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
        watched, look, number = self._watched, poll.poll, poll.fileno()
        with scope:
            while True:
                await wait_readable(number)
                for descriptor, said in look(0, _MANY):
                    watched[descriptor].tell(ended=bool(said & ends))
