"""Nursery: the children of one service that were started while it runs (``svc.start_soon``).

The answer to ``asyncio.create_task``: a job outlives the request that started it, is drained when the service
stops, and its error is seen. A failing job never ends its service or its siblings.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio.abc import TaskGroup

from evox import context, events, spans
from evox.runtime.background import call

__all__ = ["JobStatistics", "Nursery"]

_log = logging.getLogger("evox.jobs")


@dataclass(frozen=True, slots=True)
class JobStatistics:
    """Jobs of one service: running now, and finished and failed since it started."""

    running: tuple[str, ...]
    finished: int
    failed: int


class Nursery:
    """Starts jobs in a service's task group, and waits for them when it drains.

    Args:
        group: The service's task group.
        service: The service's name.
        threads: The service's thread limiter, for sync jobs.
        on_error: Called with a job's error; what it raises ends the service (tests raise it).
    """

    def __init__(
        self,
        group: TaskGroup,
        service: str,
        *,
        threads: anyio.CapacityLimiter,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self._group = group
        self._service = service
        self._threads = threads
        self._on_error = on_error
        self._running: dict[int, str] = {}
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._cancelled: set[int] = set()
        self._serial = self._finished = self._failed = 0
        self._idle = anyio.Event()

    def __repr__(self) -> str:
        return f"<Nursery {self._service!r}, {len(self._running)} running>"

    def start_soon(self, job: Callable[..., Any], *args: Any, name: str | None = None) -> None:
        """Start a sync or async job and return at once.

        Args:
            job: What to call.
            *args: Positional arguments for it.
            name: Shown in statistics and logs; the function's name by default.
        """
        try:
            anyio.lowlevel.current_token()
        except anyio.NoEventLoopError:  # a sync handler, hook or task: it runs in a worker thread
            anyio.from_thread.run_sync(partial(self.start_soon, job, *args, name=name))
            return
        self._serial += 1
        label = name or _name_of(job)
        self._running[self._serial] = label
        self._group.start_soon(self._run, self._serial, label, job, args, name=f"svc:{self._service}/job:{label}")

    async def wait_idle(self) -> None:
        """Wait until no job runs, but for those that were cancelled: one in a thread may never end."""
        while self._running.keys() - self._cancelled:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    def cancel(self) -> list[str]:
        """Cancel the jobs that still run; return their names."""
        for scope in self._scopes.values():
            scope.cancel()
        self._cancelled |= self._running.keys()
        return list(self._running.values())

    def statistics(self) -> JobStatistics:
        """Return what runs, and how many jobs finished and failed."""
        return JobStatistics(tuple(self._running.values()), self._finished, self._failed)

    async def _run(self, serial: int, label: str, job: Callable[..., Any], args: tuple[Any, ...]) -> None:
        began = anyio.current_time()
        failure: Exception | None = None
        context.leave_request()  # which a job outlives, and so what is only lent to that
        try:
            with anyio.CancelScope() as self._scopes[serial]:
                if serial in self._cancelled:
                    self._scopes[serial].cancel()
                with spans.of_task(self._service, label):
                    await call(job, *args, threads=self._threads, own=True)
        except Exception as error:  # noqa: BLE001  logged, counted, and told to whoever asked
            failure = error
            _log.exception("job %s/%s failed", self._service, label)
        finally:
            del self._running[serial]
            self._scopes.pop(serial, None)
            self._finished += failure is None
            self._failed += failure is not None
            if not self._running:
                self._idle.set()
        events.notify(events.TaskFinished(self._service, label, anyio.current_time() - began, failure))
        if failure is not None and self._on_error is not None:
            self._on_error(failure)


def _name_of(job: Any) -> str:
    """Return what a job is called: never what it is called with, which may be anything."""
    while isinstance(job, partial):
        job = job.func
    return str(getattr(job, "__qualname__", None) or type(job).__qualname__)
