"""Background tasks: work that repeats or runs on beside the requests, as children of their service.

An interval is measured from the end of one run to the start of the next, so a task never runs twice at once. A task
that fails is restarted alone with backoff; only the policy ``"fail_service"`` lets its failure reach the service.
Sync functions run in a worker thread under the service's own thread limiter.
"""

import inspect
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import anyio
import anyio.to_thread

from evox import events, spans
from evox.errors.words import named_words_of
from evox.runtime.supervisor import Intensity, RestartPolicy
from evox.strays import contained

__all__ = ["BackgroundStatistics", "BackgroundTask", "FailurePolicy", "Runner", "call", "in_threads", "is_async"]

FailurePolicy: TypeAlias = Literal["restart", "fail_service", "log"]
TaskState: TypeAlias = Literal["waiting", "running", "backing off", "finished", "failed", "stopped"]
_log = logging.getLogger("evox.background")


async def call(
    function: Callable[..., Any],
    *args: Any,
    threads: anyio.CapacityLimiter,
    abandon: bool = False,
    own: bool = False,
) -> Any:
    """Call a sync or async function: a coroutine here, anything else in a worker thread.

    Args:
        function: What to call.
        *args: Positional arguments.
        threads: Limits how many threads run at once.
        abandon: Whether cancellation leaves the thread behind rather than waiting for it.
        own: Whether nobody but cancel scopes may cancel the present task.

    Raises:
        Escaped: if it raises what is no ``Exception``, and was not cancelled.
    """
    target = inspect.unwrap(function)
    with contained(str(getattr(target, "__qualname__", target)), own=own):
        return await _called(function, target, args, threads, abandon)


async def _called(
    function: Callable[..., Any], target: Any, args: tuple[Any, ...], threads: anyio.CapacityLimiter, abandon: bool
) -> Any:
    if is_async(function):
        return await function(*args)

    def in_thread() -> tuple[Any]:
        _in_threads[key] = str(getattr(target, "__qualname__", target))
        try:
            return (function(*args),)  # wrapped: a loop refuses an awaitable as a thread's result
        finally:
            del _in_threads[key]

    key = object()
    (value,) = await anyio.to_thread.run_sync(in_thread, limiter=threads, abandon_on_cancel=abandon)
    return await value if inspect.isawaitable(value) else value


_in_threads: dict[object, str] = {}


def in_threads() -> list[str]:
    """Return the hooks, tasks and jobs of this process that are in a worker thread now. Nothing can stop those."""
    return list(_in_threads.values())


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine: also of a partial, a callable object, or a wrapper on either side."""
    while isinstance(function, partial):
        function = function.func
    layers = [function, inspect.unwrap(function)]
    layers += [getattr(one, "__call__", None) for one in layers if not inspect.isroutine(one)]  # noqa: B004
    return any(inspect.iscoroutinefunction(one) for one in layers)


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """A declared background task.

    Attributes:
        name: Its name within the service.
        function: Sync or async, without required parameters.
        interval: Seconds from the end of a run to the start of the next; None runs it once, for as long as it likes.
        jitter: Seconds of random extra wait, at most, before each run.
        start_after: Seconds before the first run.
        grace: Seconds a run may go on when the service drains, before it is cancelled.
        on_error: ``"restart"`` with backoff, ``"fail_service"``, or ``"log"`` and go on at the interval.
        restart: Backoff and intensity for ``"restart"``.
    """

    name: str
    function: Callable[..., Any] = field(compare=False)
    interval: float | None = None
    jitter: float = 0.0
    start_after: float = 0.0
    grace: float = 5.0
    on_error: FailurePolicy = "restart"
    restart: RestartPolicy = field(default_factory=RestartPolicy)


@dataclass(frozen=True, slots=True)
class BackgroundStatistics:
    """What a background task looks like from outside. Times of day are wall-clock seconds, durations are seconds."""

    name: str
    state: TaskState
    interval: float | None
    runs: int
    failures: int
    last_run: float | None
    last_duration: float | None
    last_error: str | None
    next_run: float | None


class Runner:
    """One background task of one running service.

    Args:
        task: What was declared.
        service: The service's name.
        threads: The service's thread limiter, for sync functions.
        on_error: Called with each error, before the policy; what it raises ends the service (tests raise it).
        wall: Wall clock in seconds.
        rand: Random numbers from 0 to 1, for jitter.
    """

    def __init__(
        self,
        task: BackgroundTask,
        service: str,
        *,
        threads: anyio.CapacityLimiter,
        on_error: Callable[[Exception], None] | None = None,
        wall: Callable[[], float] = time.time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.task = task
        self._on_error = on_error
        self._service = service
        self._threads = threads
        self._wall = wall
        self._rand = rand
        self._scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self._stopping = False
        self._state: TaskState = "waiting"
        self._runs = self._failures = 0
        self._last_run: float | None = None
        self._last_duration: float | None = None
        self._last_error: str | None = None
        self._next_run: float | None = None

    def __repr__(self) -> str:
        return f"<Runner {self._service}/{self.task.name} {self._state}, {self._runs} runs, {self._failures} failures>"

    @property
    def failed(self) -> bool:
        """Whether the task failed too often and is not run again."""
        return self._state == "failed"

    def statistics(self) -> BackgroundStatistics:
        """Return state, counts, last run, last error and next run."""
        return BackgroundStatistics(
            self.task.name,
            self._state,
            self.task.interval,
            self._runs,
            self._failures,
            self._last_run,
            self._last_duration,
            self._last_error,
            self._next_run,
        )

    def stop(self) -> None:
        """Run no more: end at once between runs, within ``grace`` during one."""
        self._stopping = True
        if self._state == "running" and self.task.grace > 0:
            self._scope.deadline = min(self._scope.deadline, anyio.current_time() + self.task.grace)
        else:
            self._scope.cancel()

    def cancel(self) -> None:
        """End now, even during a run."""
        self._stopping = True
        self._scope.cancel()

    async def run(self) -> None:
        """Run the task until it is stopped, finished or failed.

        Raises:
            Exception: the task's own error, if its policy is ``"fail_service"``.
        """
        try:
            with self._scope:
                await self._loop()
        finally:
            if self._state not in ("finished", "failed"):
                self._state, self._next_run = "stopped", None
            self.ended.set()

    async def _loop(self) -> None:
        intensity = Intensity(self.task.restart)
        wait = self.task.start_after + self._jitter()
        while True:
            await self._wait(wait)
            error = await self._once()
            if self._stopping:
                return
            if error is None and self.task.interval is None:
                self._state = "finished"
                return
            wait = (self.task.interval or 0.0) + self._jitter()
            if error is None:
                continue
            if self.task.on_error == "fail_service":
                raise error
            if self.task.on_error == "log":
                if self.task.interval is None:
                    self._state = "failed"
                    return
            else:
                failures = intensity.record(anyio.current_time())
                if intensity.exceeded():
                    self._state = "failed"
                    _log.error(
                        "%s/%s failed %d times within %g s and is not run again",
                        *(self._service, self.task.name, failures, self.task.restart.window),
                    )
                    return
                wait = self.task.restart.delay(failures, rand=self._rand)
                self._state = "backing off"

    def _jitter(self) -> float:
        return self.task.jitter * self._rand()

    async def _wait(self, wait: float) -> None:
        self._next_run = self._wall() + wait
        if self._state != "backing off":
            self._state = "waiting"
        await anyio.sleep(wait)
        self._next_run = None

    async def _once(self) -> Exception | None:
        self._state, self._last_run = "running", self._wall()
        began = anyio.current_time()
        failure: Exception | None = None
        try:
            with spans.of_task(self._service, self.task.name):
                await call(self.task.function, threads=self._threads, own=True)
        except Exception as error:  # noqa: BLE001  logged, counted, and answered by the policy
            failure = error
            self._failures += 1
            self._last_error = named_words_of(error)
            if self.task.on_error != "fail_service":
                _log.exception("background task %s/%s failed", self._service, self.task.name)
        finally:
            self._runs += 1
            self._last_duration = anyio.current_time() - began
        told = (self.task.name, self._last_duration, failure, self.task.interval)
        events.notify(events.TaskFinished(self._service, *told))
        if failure is not None and self._on_error is not None:
            self._on_error(failure)
        return failure
