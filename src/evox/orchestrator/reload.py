"""Reload: ``evox run --dev``. Watches the project, and puts a new process in place of the old one when a file is saved.

The parent imports no user code, so broken code cannot end it. A new child is started first and the old one ends
only when the new one answers requests; if the new one fails, its error is shown and the old one goes on serving.
"""

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio.abc import Process, TaskGroup
from watchfiles import Change, DefaultFilter, awatch

from evox.orchestrator.handover import receive, sockets_of
from evox.runtime import SignalWatch, watch_signals

__all__ = ["develop"]

_SUFFIXES = (".py", ".toml", ".html", ".jinja", ".json", ".sql")
END = 3.0


class _SourceFilter(DefaultFilter):
    def __call__(self, change: Change, path: str) -> bool:
        return path.endswith(_SUFFIXES) and super().__call__(change, path)


def develop(arguments: Sequence[str], folders: Sequence[Path]) -> int:
    """Run ``evox run`` in a child process, and again after each change.

    Args:
        arguments: The child's command line after ``python -m evox``.
        folders: What to watch.

    Returns:
        The exit code of the last child, 0 after a signal.
    """
    with watch_signals() as signals:
        return anyio.run(_Developer(arguments, folders, signals).main, backend="asyncio")


class _Child:
    """One child process and the channel to it."""

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self.process = process
        self.channel = channel
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.superseded = False

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)


class _Developer:
    def __init__(self, arguments: Sequence[str], folders: Sequence[Path], signals: SignalWatch) -> None:
        self._arguments, self._folders, self._signals = arguments, folders, signals
        self._kept: dict[str, int] = {}
        self._current: _Child | None = None
        self._children: set[_Child] = set()
        self._ending = False
        self._saves = 0
        self._stop_watching = anyio.Event()

    async def main(self) -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(self._replace, group)
            group.start_soon(self._watch, group)
            await self._signals.wait()
            self._stop_watching.set()
            self._ending = True
            for child in self._children:
                child.end()
            with anyio.move_on_after(END):
                for child in list(self._children):
                    await child.ended.wait()
            for child in self._children:
                child.process.kill()
            group.cancel_scope.cancel()
        return 0

    async def _watch(self, group: TaskGroup) -> None:
        changes = awatch(
            *self._folders,
            watch_filter=_SourceFilter(),
            debounce=200,
            step=20,
            stop_event=self._stop_watching,
        )
        async for batch in changes:
            names = sorted({Path(path).name for _, path in batch})
            _say(f"changed: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}")
            group.start_soon(self._replace, group)

    async def _replace(self, group: TaskGroup) -> None:
        for child in self._children:
            if not child.ready.is_set():
                child.superseded = True  # a later save is on its way
                child.end()
        self._saves += 1
        mine = self._saves
        new = await self._start()
        self._children.add(new)
        if mine != self._saves:
            new.superseded = True
            new.end()
        if self._ending:
            new.end()
        group.start_soon(self._listen, new)
        async with anyio.create_task_group() as race:

            async def first(event: anyio.Event) -> None:
                await event.wait()
                race.cancel_scope.cancel()

            race.start_soon(first, new.ready)
            race.start_soon(first, new.ended)
        if new.superseded:
            new.end()
        elif new.ready.is_set() and not new.ended.is_set():
            old, self._current = self._current, new
            if old is not None:
                old.end()
        else:
            still = " (the last good version goes on serving)" if self._alive() else ""
            _say(f"not started; waiting for a change{still}")

    def _alive(self) -> bool:
        return self._current is not None and not self._current.ended.is_set()

    async def _start(self) -> _Child:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        process = await anyio.open_process(
            [sys.executable, "-m", "evox", *self._arguments],
            stdin=None,
            stdout=None,
            stderr=None,
            env=sockets_of(theirs, self._kept),
            pass_fds=(theirs.fileno(), *self._kept.values()),
            start_new_session=True,
        )
        theirs.close()
        return _Child(process, ours)

    async def _listen(self, child: _Child) -> None:
        """Take what the child sends until it is gone."""
        with child.channel:
            while True:
                await anyio.wait_readable(child.channel)
                try:
                    events, sockets = receive(child.channel)
                except ConnectionError:
                    events, sockets = [], {}
                if not events:
                    break
                for name, descriptor in sockets.items():
                    self._keep(name, descriptor)
                if "ready" in events:
                    child.ready.set()
        await child.process.wait()
        self._children.discard(child)
        child.ended.set()

    def _keep(self, name: str, descriptor: int) -> None:
        earlier = self._kept.get(name)
        self._kept[name] = descriptor
        if earlier is not None:
            socket.close(earlier)


def _say(text: str) -> None:
    sys.stderr.write(f"evox dev: {text}\n")
    sys.stderr.flush()
