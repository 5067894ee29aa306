"""Children: processes of ``evox run`` under a parent that keeps their listening sockets.

The parent imports no user code, so broken code cannot end it. Each child has a session of its own, so that Ctrl-C
reaches the parent alone, and leaves by itself when the parent is gone.
"""

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
    """

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self.process = process
        self.channel = channel
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.facts: dict[str, Any] = {}
        self.report: dict[str, Any] = {}
        self.superseded = False

    def __repr__(self) -> str:
        return f"<Child {self.process.pid}>"

    def end(self) -> None:
        """Ask it to drain and end."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)

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
    """

    def __init__(self, arguments: Sequence[str], *, worker: bool) -> None:
        self._arguments = arguments
        self._worker = worker
        self._kept: dict[str, int] = {}
        self.alive: set[Child] = set()

    def __repr__(self) -> str:
        return f"<Children {sorted(child.process.pid for child in self.alive)}>"

    async def start(self) -> Child:
        """Start one; it gets the sockets that are kept. Run ``listen`` for it."""
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
        return child

    async def listen(self, child: Child) -> None:
        """Take what a child sends until it is gone."""
        with child.channel:
            receiver = Receiver(child.channel)
            while True:
                await anyio.wait_readable(child.channel)
                received = receiver.receive()
                if received is None:
                    break
                messages, sockets = received
                for name, descriptor in sockets.items():
                    self._keep(name, descriptor)
                for message in messages:
                    if message["event"] == "ready":
                        child.facts = message["facts"]
                        child.ready.set()
                    elif message["event"] == "stopped":
                        child.report = message
        await child.process.wait()
        self.alive.discard(child)
        child.ended.set()

    def end(self) -> None:
        """Ask all to drain and end, and let go of their sockets: whoever connects then is refused, not kept waiting."""
        for child in list(self.alive):
            child.end()
        for descriptor in self._kept.values():
            socket.close(descriptor)
        self._kept.clear()

    def kill(self) -> None:
        """End all at once. Safe in a signal handler."""
        for child in list(self.alive):
            if child.process.returncode is None:
                os.kill(child.process.pid, signal.SIGKILL)

    def _keep(self, name: str, descriptor: int) -> None:
        earlier = self._kept.get(name)
        self._kept[name] = descriptor
        if earlier is not None:
            socket.close(earlier)
