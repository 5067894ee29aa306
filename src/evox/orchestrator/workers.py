"""Workers: ``evox run --workers N``. Processes that accept on the same sockets, under a parent that keeps them running.

The first worker binds; the others inherit its sockets through the parent (decision 0009). A worker that dies takes
only what it held: what waits in the kernel's queue belongs to the sockets, and another worker accepts it.
"""

import signal
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from evox.config import Settings
from evox.orchestrator.children import Child, Children
from evox.orchestrator.console import Console, Row
from evox.runtime import Intensity, RestartPolicy, SignalWatch, watch_signals

__all__ = ["run_workers"]

MARGIN = 5.0
CUT = 124
GIVEN_UP = 1


def run_workers(arguments: Sequence[str], settings: Settings, console: Console) -> int:
    """Run ``evox run`` in several processes until a signal.

    Args:
        arguments: The workers' command line after ``python -m evox``.
        settings: How many, how often they may fail, and how long a drain may take.
        console: Where to speak for all of them.

    Returns:
        The exit code: of the worker that could not start; 1 when they fail too often; else the worst of them all.
    """
    with watch_signals() as signals:
        return anyio.run(_Workers(arguments, settings, console, signals).main, backend="asyncio")


class _Workers:
    def __init__(self, arguments: Sequence[str], settings: Settings, console: Console, signals: SignalWatch) -> None:
        runtime = settings.runtime
        self._settings, self._console, self._signals = settings, console, signals
        self._children = Children(arguments, worker=True)
        self._policy = RestartPolicy(runtime.max_restarts * settings.workers, runtime.window, runtime.backoff)
        self._failures = Intensity(self._policy)
        self._current: dict[int, Child] = {}
        self._facts: dict[str, Any] = {}
        self._codes: list[int] = []
        self._cut: dict[str, list[str]] = {"requests": [], "streams": []}
        self._over = anyio.Event()
        self._announced = self._given_up = False

    async def main(self) -> int:
        self._signals.on_second = self._children.kill
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            await self._first(group)
            await self._over.wait()
            await self._end()
            group.cancel_scope.cancel()
        code = CUT if CUT in self._codes else GIVEN_UP if self._given_up else max(self._codes, default=0)
        if self._announced or self._signals.received is not None:
            self._console.stopped(code=code, requests=self._cut["requests"], streams=self._cut["streams"])
        return code

    async def _watch(self) -> None:
        """Wait for the signal that ends everything."""
        received = await self._signals.wait()
        self._console.draining(signal.Signals(received).name)
        self._over.set()
        self._children.end()  # now, for one that starts may take long

    async def _first(self, group: TaskGroup) -> None:
        """Start one worker, which binds the sockets and finds what is wrong; then the others; then say so."""
        if not await self._start(group, 1):
            self._over.set()
            return
        numbers = range(2, self._settings.workers + 1)
        async with anyio.create_task_group() as starting:
            for number in numbers:
                starting.start_soon(self._start, group, number)
        if not self._over.is_set():
            self._announce()

    async def _start(self, group: TaskGroup, number: int) -> bool:
        """Start a worker and wait until it answers; then watch it. False if it did not come to that."""
        if self._over.is_set():
            return False
        child = self._current[number] = await self._children.start()
        group.start_soon(self._children.listen, child)
        ready = await child.settled()
        if ready:
            self._facts = self._facts or child.facts
            group.start_soon(self._attend, group, number, child)
        elif not (self._announced or child.asked):
            self._note(child)
            self._over.set()
        return ready

    async def _attend(self, group: TaskGroup, number: int, child: Child) -> None:
        """Replace a worker when it dies, again and again, but never in a hot loop."""
        await child.ended.wait()
        while not self._over.is_set():
            failures = self._failures.record(anyio.current_time())
            how = _how(child.process.returncode)
            if self._failures.exceeded():
                self._console.worker(
                    number, f"{how}; given up: workers failed {failures} times in {self._policy.window:g} s", pid=None
                )
                self._given_up = True  # whatever another one dies of meanwhile
                self._over.set()
                return
            delay = 0.0 if failures == 1 else self._policy.delay(failures - 1)
            self._console.worker(number, f"{how}; a new one starts in {delay:.1f} s", pid=None)
            with anyio.move_on_after(delay):
                await self._over.wait()
            if await self._start(group, number):
                child = self._current[number]
                if self._over.is_set():
                    return  # it came while all were given up, and ends with the others
                self._console.worker(number, f"is pid {child.process.pid}", pid=child.process.pid)
                return
            child = self._current[number]

    def _note(self, child: Child) -> None:
        code = child.process.returncode or 0
        if child.asked and code == -signal.SIGTERM:
            code = 0  # it was being imported, and held nothing
        self._codes.append(128 - code if code < 0 else code)
        for kind, labels in self._cut.items():
            labels.extend(child.report.get(kind, []))

    async def _end(self) -> None:
        """Have all workers drain at the same time, for no longer than a drain may take."""
        self._children.end()
        await self._children.settled()
        told = self._children.told
        serving, runtime = self._settings.serving, self._settings.runtime
        with anyio.move_on_after(serving.drain_timeout + 2 * runtime.shutdown_timeout + MARGIN):
            for child in told:
                await child.ended.wait()
        stuck = [child for child in told if not child.ended.is_set()]
        self._children.kill()
        with anyio.move_on_after(MARGIN):
            for child in stuck:
                await child.ended.wait()
        for child in told:
            if child in stuck:
                self._codes.append(CUT)
                self._cut["requests"].append(f"worker with pid {child.process.pid}")
            else:
                self._note(child)

    def _announce(self) -> None:
        self._announced = True
        pids = {number: child.process.pid for number, child in sorted(self._current.items())}
        facts = self._facts  # the first worker's own: it may have died since
        rows = [Row(**row) for row in facts["services"]]
        shared = (
            "they share the sockets and nothing else: what handlers keep in memory, and every limit, is each worker's"
        )
        notes = [f"{len(pids)} workers (pids {', '.join(map(str, pids.values()))}); {shared}"]
        if facts["background"]:
            notes.append(f"background tasks run in every worker: {', '.join(facts['background'])}")
        self._console.started(
            version=facts["version"],
            loop=facts["loop"],
            rows=rows,
            notes=[*facts["notes"], *notes],
            workers=list(pids.values()),
        )


def _how(code: int | None) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
