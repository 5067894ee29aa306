"""Reload: ``evox run --dev``. Watches the project, and puts a new process in place of the old one when a file is saved.

A new child is started first and the old one ends
only when the new one answers requests; if the new one fails, its error is shown and the old one goes on serving.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from watchfiles import Change, DefaultFilter, awatch

from evox.orchestrator.children import Child, Children
from evox.runtime import SignalWatch, watch_signals

__all__ = ["develop"]

_SUFFIXES = (".py", ".toml", ".html", ".jinja", ".json", ".sql")
END = 3.0


class _SourceFilter(DefaultFilter):
    ignore_dirs = (*DefaultFilter.ignore_dirs, ".evox")  # what services keep there themselves is no source

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


class _Developer:
    def __init__(self, arguments: Sequence[str], folders: Sequence[Path], signals: SignalWatch) -> None:
        self._folders, self._signals = folders, signals
        self._children = Children(arguments, worker=False)
        self._current: Child | None = None
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
            self._children.end()
            with anyio.move_on_after(END):
                for child in list(self._children.alive):
                    await child.ended.wait()
            self._children.kill()
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
            names = sorted({_shown(Path(path)) for _, path in batch})
            _say(f"changed: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}")
            group.start_soon(self._replace, group)

    async def _replace(self, group: TaskGroup) -> None:
        for child in list(self._children.alive):
            if not child.ready.is_set():
                child.superseded = True  # a later save is on its way
                child.end()
        self._saves += 1
        mine = self._saves
        new = await self._children.start()
        if mine != self._saves:
            new.superseded = True
            new.end()
        if self._ending:
            new.end()
        group.start_soon(self._children.listen, new)
        ready = await new.settled()
        if new.superseded:
            new.end()
        elif ready:
            old, self._current = self._current, new
            if old is not None:
                old.end()
        else:
            still = " (the last good version goes on serving)" if self._alive() else ""
            _say(f"not started; waiting for a change{still}")

    def _alive(self) -> bool:
        return self._current is not None and not self._current.ended.is_set()


def _shown(path: Path) -> str:
    """Return a file as it is seen from here; in a project all services may be in a ``service.py``."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name


def _say(text: str) -> None:
    sys.stderr.write(f"evox dev: {text}\n")
    sys.stderr.flush()
