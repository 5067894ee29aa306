"""Host: one service under supervision: started, restarted after crashes with backoff, stopped.

The host is the service's place in the process's nursery. Its door (``inflight``) outlives the lives behind it, so
that while a service is down its clients get a 503 with Retry-After rather than silence, and its siblings notice
nothing.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskStatus
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from evox import context, events
from evox.errors import EvoxError, ServiceGivenUp
from evox.failures import describe, root_cause
from evox.runtime import Lifecycle, RestartPolicy, State, supervise
from evox.services import Running, Scope, Service, adopted_routes, health_paths
from evox.services.observing import VIEWS, view_path
from evox.serving import Inflight, Lifespan

__all__ = ["Host"]

THREADS = 0.5  # seconds that threads may still take after the hooks have ended
_log = logging.getLogger("evox.lifecycle")


class Host:
    """One supervised service.

    Args:
        service: What was declared.
        scope: The runtime it shares with its siblings.
        on_failure: Called with each crash; what it raises ends the whole runtime (tests raise the crash itself).
        on_request_error: Called with each request's unhandled error.
    """

    def __init__(
        self,
        service: Service,
        scope: Scope,
        *,
        on_failure: Callable[[Exception], None] | None = None,
        on_request_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.service = service
        self.lifecycle = Lifecycle(service.name)
        paths = [path for path, _ in health_paths(service.settings.health_path)]
        paths += map(view_path, VIEWS)  # a service that is down is what one wants to look at
        self._built_in = adopted_routes(service) if service.adopted else {}
        self._app = service.app
        self._short: Callable[[AsgiScope, Any], Any] | None = getattr(self._app, "short", None)
        served = self._answer if self._built_in else self._app
        limits = scope.loaded.settings.serving
        self.inflight = Inflight(served, service=service.name, limits=limits, exempt=paths, on_error=on_request_error)
        self._scope = scope
        self._on_failure = on_failure
        self._stop = anyio.Event()
        self._interruptible = True  # starting, or waiting to: nothing is there that a stop would have to end in order
        self._reporting: list[TaskStatus[None]] = []
        self._supervision = anyio.CancelScope()
        self.stop_error: Exception | None = None
        self._running = Running(service, scope, self.lifecycle)
        self._policy = service.settings.restart or _policy(scope)
        self._given_up = anyio.Event()

    def __repr__(self) -> str:
        return f"<Host {self.service.name!r} {self.lifecycle.state}>"

    @property
    def running(self) -> Running:
        """The present life, or the last one."""
        return self._running

    def begin(self, scope: AsgiScope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Return what answers a request, in a context of its own. Where the app knows a short way to an answer, that.

        Args:
            scope: The request's. Its client has a cancel scope.
            receive: The request's.
            send: The request's.
        """
        running = self._running
        short = self._short(scope, running) if self._short is not None and self.inflight.is_plain else None
        if short is None:
            return self(scope, receive, send)
        scope["state"] = dict(running.state)
        return self.inflight.begin(short, scope, receive, send)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request: the ASGI app that is served."""
        token = context.enter_service(self._running)
        scope["state"] = dict(self._running.state)
        try:
            await self.inflight(scope, receive, send)
        finally:
            context.leave_service(token)

    async def _answer(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer the built-in paths for an app that has no routes of ours; everything else is the app's."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        built_in = self._built_in.get(path) if scope.get("method") in ("GET", "HEAD") else None
        await (built_in or self._app)(scope, receive, send)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run lives of the service until ``stop``; reports that it started when the first one is ready.

        Raises:
            EvoxError: if the first start fails.
        """
        self._reporting = [task_status]
        try:
            with self._supervision:
                try:
                    if not await supervise(self._life, self._policy, on_failure=self._failed):
                        await self._stop.wait()
                except _Stopping:
                    return
        finally:
            self.inflight.refuse("stopped")
            self.lifecycle.move(State.STOPPED)

    def drain(self) -> None:
        """Tell readiness, clients, streams and tasks that the end is near; requests are still answered."""
        if self.lifecycle.state in (State.STOPPED, State.DRAINING):
            return
        if self.lifecycle.state is not State.FAILED:
            self.lifecycle.move(State.DRAINING)
        self._running.draining.set()
        self.inflight.begin_drain()

    def stop(self) -> None:
        """End the present life: background tasks, jobs, hooks, lifespans; no restart follows."""
        self.drain()
        self._stop.set()
        if self._interruptible:
            self._supervision.cancel()

    async def wait_stopped(self, limit: float) -> bool:
        """Wait for the end of the life after ``stop``, shielded, for at most ``limit`` seconds.

        Returns:
            Whether it ended; False when a thread still holds it, which nothing can stop.
        """
        with anyio.move_on_after(limit, shield=True):
            if self._running.nursery is not None:
                await self._running.settled.wait()
        with anyio.move_on_after(THREADS, shield=True):
            await self.lifecycle.wait_state(State.STOPPED)
        return self.lifecycle.state is State.STOPPED

    async def wait_given_up(self) -> None:
        """Wait until the service has crashed too often to be restarted."""
        await self._given_up.wait()

    async def _life(self) -> None:
        if self._stop.is_set() or self.lifecycle.state is State.DRAINING:
            await self._stop.wait()  # told to end while waiting for a restart: there will be none
            return
        if self._running.nursery is not None or self.lifecycle.started:
            self._running = Running(self.service, self._scope, self.lifecycle)
        running = self._running
        running.on_ready, running.on_down = self._ready, self._down
        self.lifecycle.move(State.STARTING)
        context.enter_service(running)
        lifespan = Lifespan(self._app, running.state)
        async with anyio.create_task_group() as group:
            await group.start(lifespan.run, name=f"svc:{self.service.name}/lifespan")
            self._report_started()
            await self._stop.wait()
            await lifespan.shutdown()

    def _report_started(self) -> None:
        while self._reporting:
            self._reporting.pop().started()

    def _ready(self) -> None:
        """Hooks have run; background tasks start next, and one of them may fail at once."""
        if self.lifecycle.state is State.STARTING:
            self.lifecycle.move(State.READY)
        self._interruptible = False
        self.inflight.admit()

    def _down(self) -> None:
        """The life is ending by itself: refuse requests before its hooks take their resources away."""
        if not self._stop.is_set():
            self.inflight.refuse("restarting")

    def _failed(self, error: Exception, failures: int, delay: float | None) -> None:
        cause = root_cause(error)
        name = self.service.name
        if self._stop.is_set() or self.lifecycle.state is State.DRAINING:  # too late for a restart
            self.stop_error = error if self._stop.is_set() else None
            _log.error("shutdown of %s failed\n%s", name, describe(error), exc_info=error)
            if self._on_failure is not None:
                self._on_failure(error)
            raise _Stopping
        self._interruptible = True
        if not self.lifecycle.started:
            raise cause if isinstance(cause, EvoxError) else error
        self._report_started()  # it did, before it crashed
        self.inflight.refuse("restarting" if delay is not None else "failed", retry_after=delay or 30)
        events.notify(events.ServiceCrashed(name, error, failures, delay))
        if self._on_failure is not None:
            self._on_failure(error)
        if delay is None:
            assert isinstance(cause, Exception)  # noqa: S101  root_cause prefers ordinary errors
            given_up = ServiceGivenUp(name, failures, self._policy.window, cause)
            _log.error("%s", describe(given_up))
            self.lifecycle.move(State.FAILED, reason=type(cause).__name__)
            self._given_up.set()
        else:
            _log.error("service %s crashed, restart in %.2f s\n%s", name, delay, describe(error), exc_info=error)
            self.lifecycle.move(State.RESTARTING, reason=type(cause).__name__)


class _Stopping(Exception):
    pass


def _policy(scope: Scope) -> RestartPolicy:
    settings = scope.loaded.settings.runtime
    return RestartPolicy(settings.max_restarts, settings.window, settings.backoff)
