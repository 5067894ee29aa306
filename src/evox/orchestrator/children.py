"""Children: processes of ``evox run`` under a parent that keeps their listening sockets.

The parent imports no user code, so broken code cannot end it. Each child has a session of its own, so that Ctrl-C
reaches the parent alone, and leaves by itself when the parent is gone.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import Process

from evox.orchestrator.handover import Receiver, environment_of

__all__ = ["Child", "Children"]


class Child:
    """One process and the channel to it.

    Attributes:
        ready: Set once it answers requests.
        ended: Set once it is gone; ``process.returncode`` says how.
        facts: What the banner shows, once it is ready.
        report: What it cut, once it has stopped.
        superseded: Whether a newer one takes its place.
        asked: Whether it was asked to end.
    """

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self.process = process
        self.channel = channel
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.facts: dict[str, Any] = {}
        self.report: dict[str, Any] = {}
        self.superseded = self.asked = False

    def __repr__(self) -> str:
        return f"<Child {self.process.pid}>"

    def end(self) -> None:
        """Ask it to drain and end; once, for a second signal would cut the drain short."""
        if not self.asked:
            self.asked = True
            self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there. Safe in a signal handler."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and nobody was told yet
                os.kill(self.process.pid, number)

    async def settled(self) -> bool:
        """Wait until it is ready or has ended; return whether it is ready."""
        async with anyio.create_task_group() as race:

            async def first(event: anyio.Event) -> None:
                await event.wait()
                race.cancel_scope.cancel()

            race.start_soon(first, self.ready)
            race.start_soon(first, self.ended)
        return self.ready.is_set() and not self.ended.is_set()


class Children:
    """The children of this process.

    Args:
        arguments: Their command line after ``python -m evox``.
        worker: Whether they are workers, for which the parent speaks.

    Attributes:
        alive: Those that are there.
        told: Those that ``end`` told to end.
    """

    def __init__(self, arguments: Sequence[str], *, worker: bool) -> None:
        self._arguments = arguments
        self._worker = worker
        self._kept: dict[str, int] = {}
        self._starting = anyio.Lock()
        self._ending = False
        self.alive: set[Child] = set()
        self.told: list[Child] = []

    def __repr__(self) -> str:
        return f"<Children {sorted(child.process.pid for child in self.alive)}>"

    async def start(self) -> Child:
        """Start one; it gets the sockets that are kept. Run ``listen`` for it."""
        async with self._starting:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            process = await anyio.open_process(
                [sys.executable, "-m", "evox", *self._arguments],
                stdin=None,
                stdout=None,
                stderr=None,
                env=environment_of(theirs, self._kept, worker=self._worker),
                pass_fds=(theirs.fileno(), *self._kept.values()),
                start_new_session=True,
            )
            theirs.close()
            child = Child(process, ours)
            self.alive.add(child)
            if self._ending:
                self._tell(child)
            return child

    async def listen(self, child: Child) -> None:
        """Take what a child sends until it is gone."""
        receiver = Receiver(child.channel)
        with child.channel:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear, child, receiver)
                # Not the channel's end: a process that the child has forked may hold that open.
                await child.process.wait()
                group.cancel_scope.cancel()
            while self._take(child, receiver):
                pass
        self.alive.discard(child)
        child.ended.set()

    def end(self) -> None:
        """Ask all to drain and end, and let go of their sockets: whoever connects then is refused, not kept waiting."""
        self._ending = True
        for child in list(self.alive):
            self._tell(child)
        for descriptor in self._kept.values():
            socket.close(descriptor)
        self._kept.clear()

    def kill(self) -> None:
        """End all at once. Safe in a signal handler."""
        for child in list(self.alive):
            child.send(signal.SIGKILL)

    async def settled(self) -> None:
        """Wait until none is on its way: ``alive`` has them all."""
        async with self._starting:
            pass

    def _tell(self, child: Child) -> None:
        child.end()
        if child not in self.told:
            self.told.append(child)

    async def _hear(self, child: Child, receiver: Receiver) -> None:
        await anyio.wait_readable(child.channel)
        while self._take(child, receiver):
            await anyio.wait_readable(child.channel)

    def _take(self, child: Child, receiver: Receiver) -> bool:
        """Take what has come; return whether there was something."""
        try:
            received = receiver.receive()
        except BlockingIOError:
            return False
        if received is None:
            return False
        messages, sockets = received
        for name, descriptor in sockets.items():
            self._keep(name, descriptor)
        for message in messages:
            if message["event"] == "ready":
                child.facts = message["facts"]
                child.ready.set()
            elif message["event"] == "stopped":
                child.report = message
        return True

    def _keep(self, name: str, descriptor: int) -> None:
        if self._ending:
            socket.close(descriptor)
            return
        earlier = self._kept.get(name)
        self._kept[name] = descriptor
        if earlier is not None:
            socket.close(earlier)
