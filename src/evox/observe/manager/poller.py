"""Poller: asks every process once a second what it does, each in a task of its own, so that a slow one delays no other.

Which processes there are is told on the command line, and looked up in the runtime directory every other second.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup

from evox.observe.asking import CannotSee, Source
from evox.observe.directory import Note, notes
from evox.observe.manager.history import History
from evox.observe.manager.instances import Instances
from evox.observe.manager.series import Sample

__all__ = ["Poller"]

EVERY: Final = 1.0  # seconds between two questions
LOOK: Final = 2.0  # seconds between two looks into the directory
SLOWER: Final = 10.0  # seconds between two questions to one that does not answer, at most
_log = logging.getLogger("evox.dashboard")


class Poller:
    """Asks processes.

    Args:
        instances: Where answers are noted.
        history: Where samples are kept; None keeps none.
        sources: Processes that are asked whatever the directory says.
        look: Returns the notes of the directory; None does not look there.
        every: Seconds between two questions to one process.
    """

    def __init__(
        self,
        instances: Instances,
        history: History | None,
        sources: Sequence[Source] = (),
        *,
        look: Callable[[], list[Note]] | None = notes,
        every: float = EVERY,
    ) -> None:
        self._instances, self._history = instances, history
        self._fixed, self._look, self._every = list(sources), look, every
        self._found: dict[str, tuple[Source, anyio.CancelScope]] = {}
        self._waiting: dict[str, Sample] = {}

    def __repr__(self) -> str:
        return f"<Poller of {len(self._fixed) + len(self._found)} processes>"

    async def run(self) -> None:
        """Ask until it is cancelled."""
        try:
            async with anyio.create_task_group() as group:
                for source in self._fixed:
                    self._instances.notice(source)
                    group.start_soon(self._ask, source, anyio.CancelScope(), name=f"poll:{source.name}")
                if self._look is not None:
                    group.start_soon(self._watch, group, name="poll:directory")
                if self._history is not None:
                    group.start_soon(self._keep, self._history, name="poll:history")
        finally:
            with anyio.move_on_after(EVERY, shield=True):
                for source in self._fixed:
                    await source.aclose()

    async def _watch(self, group: TaskGroup) -> None:
        """Follow the directory: who is new is asked, who is gone is not any more."""
        assert self._look is not None  # noqa: S101  only then is it run
        while True:
            known = {note.socket: note for note in await anyio.to_thread.run_sync(self._look)}
            for path in self._found.keys() - known.keys():
                source, scope = self._found.pop(path)
                scope.cancel()
                self._instances.left(source)
            for path in known.keys() - self._found.keys():
                source, scope = Source.of(known[path]), anyio.CancelScope()
                self._found[path] = source, scope
                group.start_soon(self._ask_found, source, scope, name=f"poll:{source.name}")
            await anyio.sleep(LOOK)

    async def _ask_found(self, source: Source, scope: anyio.CancelScope) -> None:
        try:
            await self._ask(source, scope)
        finally:
            with anyio.move_on_after(EVERY, shield=True):
                await source.aclose()

    async def _ask(self, source: Source, scope: anyio.CancelScope) -> None:
        wait = self._every
        with scope:
            while True:
                began = anyio.current_time()
                snapshot, why = None, ""
                try:
                    snapshot = await source.snapshot()
                except CannotSee as error:
                    why = str(error)
                if scope.cancel_called:
                    return  # it has left while it answered, and would be taken for another one that never leaves
                if snapshot is None:
                    self._instances.silent(source, why)
                    wait = min(SLOWER, max(self._every, wait * 1.5))
                else:
                    wait = self._every
                    sample = self._instances.answered(source, snapshot)
                    if sample is not None:
                        self._waiting[snapshot.process.instance] = sample
                await anyio.sleep(max(0.0, wait - (anyio.current_time() - began)))

    async def _keep(self, history: History) -> None:
        """Write what has been sampled, once a second and all of it at once."""
        while True:
            await anyio.sleep(self._every)
            samples, self._waiting = self._waiting, {}
            await history.add(samples.items())
