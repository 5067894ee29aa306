"""Life: starts a service and stops it again, as one context manager that FastAPI runs as its lifespan.

Because it is the app's lifespan, the same happens under our own server, under any other and under a TestClient:
mounted apps' lifespans, the service's own, hooks, background tasks and jobs, all children of one task group.

    open the task group -> enter lifespans and start-up hooks in order -> start background tasks
    ... requests ...
    stop background tasks -> wait for jobs -> shutdown hooks and lifespans in reverse -> close the group
"""

import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import isasyncgenfunction, isgeneratorfunction, signature
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from fastapi import FastAPI

from evox import context
from evox.auth import enter_principal, leave_principal, system
from evox.errors import AsyncioOnly, EvoxError, Place, StartupFailed, StartupTimeout, place_of
from evox.failures import causes, root_cause
from evox.runtime import Nursery, Runner, State, call, is_asyncio_only_error, on_trio
from evox.services.cache_steps import check_answers
from evox.services.declaration import Declaration
from evox.services.hooks import Hook
from evox.services.mounted import Lifespan, Mounted
from evox.services.running import Running
from evox.services.sharing import Scope
from evox.strays import contained

__all__ = ["lifespan_of"]

CLOSE: Final = 2.0  # seconds

_log = logging.getLogger("evox.lifecycle")


def lifespan_of(service: Declaration, original: Lifespan | None) -> Lifespan:
    """Make the lifespan of a service's app.

    Args:
        service: What was declared.
        original: The lifespan that the app came with, entered first; None when there is none.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        scope = context.maybe_service()
        hosted = isinstance(scope, Running) and scope.service is service and scope.nursery is None
        around = scope if isinstance(scope, Running) and scope.service is not service else None
        running = (
            scope if hosted and isinstance(scope, Running) else Running(service, Scope.of_project(service, around))
        )
        service.started_by(running, hosted=hosted)
        token, caller = context.enter_service(running), enter_principal(system(service.name))
        try:
            async with _Life(running, app, original).lived() if hosted else _unhosted(running, app, original):
                yield running.state
        finally:
            service.stopped(running)
            leave_principal(caller)
            context.leave_service(token)

    return lifespan


@asynccontextmanager
async def _unhosted(running: Running, app: Any, original: Lifespan | None) -> AsyncIterator[None]:
    """Move the lifecycle ourselves: under another server no host does."""
    running.watch()
    running.lifecycle.move(State.STARTING)
    running.on_ready = lambda: running.lifecycle.move(State.READY)
    _log.info("%s runs under another server: no priority, no cancellation on disconnect, no drain", running.name)
    try:
        async with _Life(running, app, original).lived():
            try:
                yield
            finally:
                running.lifecycle.move(State.DRAINING)
    except (ExceptionGroup, EvoxError) as error:
        raise _own_error(running, error) from None
    finally:
        running.lifecycle.move(State.STOPPED)
        if all(one.lifecycle.state is State.STOPPED for one in running.runtime.lives):
            with anyio.move_on_after(CLOSE, shield=True):
                await running.runtime.close()


def _own_error(running: Running, error: Exception) -> BaseException:
    """Return what another server is to see: for an existing app, the error that it would see without us."""
    leaves = list(causes(error))
    if len(leaves) > 1:
        return error
    leaf = leaves[0]
    return leaf.__cause__ if running.service.adopted and isinstance(leaf, StartupFailed) and leaf.__cause__ else leaf


class _Life:
    """One start and stop of a service."""

    def __init__(self, running: Running, app: Any, original: Lifespan | None) -> None:
        self._running, self._app, self._original = running, app, original
        limits = running.runtime.loaded.settings.runtime
        self._start_limit = running.service.settings.start_timeout or limits.start_timeout
        self._stop_limit = limits.shutdown_timeout
        # Both are open for the whole life, because contexts entered within them may hold scopes of their own. The
        # inner one is shielded when the end begins, so that hooks run however it came to that: a stop, a crash of a
        # task in the group, a start that took too long, a cancellation from outside.
        self._starting = anyio.CancelScope()
        self._ending = anyio.CancelScope()
        self._failure: EvoxError | None = None
        self._step = "start-up"
        self._place: Place | None = None

    @asynccontextmanager
    async def lived(self) -> AsyncIterator[None]:
        """Start, hold, stop."""
        running, name = self._running, self._running.name
        self._starting.deadline = anyio.current_time() + self._start_limit
        with self._starting:
            try:
                async with anyio.create_task_group() as group:
                    running.nursery = Nursery(
                        group, name, threads=running.threads, on_error=running.runtime.on_job_error
                    )
                    with self._ending:
                        async with AsyncExitStack() as stack:
                            stack.push_async_callback(running.close_data)
                            stack.callback(running.cut)  # what others have called here runs in their tasks
                            stack.push_async_callback(self._end_jobs)
                            try:
                                await self._start(stack, group)
                                yield
                            except BaseException:
                                running.cut()
                                if running.on_down is not None:
                                    running.on_down()
                                raise
                            finally:
                                self._begin_end()
                    running.settled.set()
                    group.cancel_scope.cancel()
            finally:
                running.nursery = None
                running.cut()  # those that came since; there is no way in any more
                running.settled.set()
        if self._failure is not None:
            raise self._failure  # a cleanup that hung and was cut must not hide it
        if self._starting.cancelled_caught:
            raise StartupTimeout(name, self._step, self._start_limit, self._place)
        if anyio.current_time() >= self._ending.deadline:
            _log.warning("shutdown of %s did not finish within %g s", name, self._stop_limit)

    async def _start(self, stack: AsyncExitStack, group: TaskGroup) -> None:
        try:
            with contained("its start"):
                await self._prepare(stack, group)
        except Exception as error:  # noqa: BLE001  raised again, with the hook's name
            self._failure = self._explain(error)
            raise self._failure from root_cause(error)
        self._starting.deadline = math.inf
        if self._running.on_ready is not None:
            self._running.on_ready()
        for runner in self._running.runners:
            group.start_soon(self._watch, runner, name=f"svc:{self._running.name}/bg:{runner.task.name}")
        stack.push_async_callback(self._end_work)

    async def _prepare(self, stack: AsyncExitStack, group: TaskGroup) -> None:
        self._step = "opening of the keys"
        await self._running.open_auth(group)
        self._step = "opening of the data"
        await self._running.open_data(group)
        await check_answers(self._running)
        await self._enter_app(stack)
        await self._run_hooks(stack)
        await self._run_handlers(stack)

    async def _enter_app(self, stack: AsyncExitStack) -> None:
        """Check configuration, then enter the app's own lifespan and those of mounted apps."""
        running = self._running
        self._step = "configuration"
        for name in running.service.config_models:
            running.resolve(running.service.config_key(name))
        mounted = Mounted(self._app)
        try:
            if self._original is not None:
                self._step = "lifespan of the app"
                running.state.update(await stack.enter_async_context(self._original(self._app)) or {})
        finally:
            mounted.unwatch()
        async for path, state in mounted.enter_rest(stack, self._original):
            self._step = f"lifespan of the app mounted at {path!r}"
            running.state.update({key: value for key, value in state.items() if key not in running.state})

    async def _run_hooks(self, stack: AsyncExitStack) -> None:
        """Run start-up hooks and enter lifespans in order; each start-up hook brings its shutdown hook with it."""
        service = self._running.service
        shutdown = [hook for hook in service.hooks if hook.kind == "shutdown"]
        for hook in service.hooks:
            self._step, self._place = f"{hook.kind} hook {hook.name!r}", hook.place
            if hook.kind == "lifespan":
                state = await stack.enter_async_context(_as_lifespan(hook.function)(self._app))
                self._running.state.update(state if isinstance(state, Mapping) else {})
            elif hook.kind == "startup":
                await call(hook.function, threads=self._running.threads, abandon=True)
                if shutdown:
                    stack.push_async_callback(self._stop_hook, shutdown.pop(0))
        for hook in shutdown:
            stack.push_async_callback(self._stop_hook, hook)

    async def _run_handlers(self, stack: AsyncExitStack) -> None:
        """Run FastAPI's own event handlers, which a lifespan would otherwise switch off without a word."""
        if not isinstance(self._app, FastAPI) or self._running.service.adopted:
            return
        for function in self._app.router.on_startup:
            self._step, self._place = f"startup handler {function.__qualname__!r}", place_of(function)
            await call(function, threads=self._running.threads, abandon=True)
        for function in self._app.router.on_shutdown:
            stack.push_async_callback(self._stop_hook, Hook("shutdown", function, function.__qualname__, None))

    def _begin_end(self) -> None:
        """What follows runs to its end even when this task is being cancelled, but within bounds."""
        self._running.draining.set()
        self._ending.shield = True
        self._ending.deadline = anyio.current_time() + 2 * self._stop_limit

    async def _end_work(self) -> None:
        """Stop background tasks, wait for jobs, and cancel what goes on past the limit. Hooks have their own time."""
        for runner in self._running.runners:
            runner.stop()
        with anyio.move_on_after(self._stop_limit, shield=True):
            for runner in self._running.runners:
                await runner.ended.wait()
        for runner in self._running.runners:
            runner.cancel()
        await self._end_jobs()
        self._ending.deadline = anyio.current_time() + self._stop_limit

    async def _end_jobs(self) -> None:
        """Wait for jobs. Called again last of all, for those that shutdown hooks started."""
        nursery = self._running.nursery
        if nursery is None:
            return
        with anyio.move_on_after(self._stop_limit, shield=True) as waiting:
            await nursery.wait_idle()
        if waiting.cancelled_caught:
            for name in nursery.cancel():
                _log.warning("cut job %s of %s: not done within %g s", name, self._running.name, self._stop_limit)

    async def _stop_hook(self, hook: Hook) -> None:
        """Run one shutdown hook. Its error is logged and does not keep the others from running."""
        try:
            # Shielded by itself too: the task group of a user's lifespan may have failed and cancel what came after it.
            with anyio.CancelScope(shield=True, deadline=self._ending.deadline):
                await call(hook.function, threads=self._running.threads, abandon=True)
        except Exception as error:  # noqa: BLE001  logged; the other hooks must run
            _log.exception("shutdown hook %r of %s failed", hook.name, self._running.name)
            if self._running.runtime.on_job_error is not None:
                self._running.runtime.on_job_error(error)  # raises it in tests

    async def _watch(self, runner: Runner) -> None:
        context.enter_service(self._running)
        await runner.run()

    def _explain(self, error: Exception) -> EvoxError:
        cause, name = root_cause(error), self._running.name
        if isinstance(cause, EvoxError):
            return cause
        if on_trio() and is_asyncio_only_error(cause):
            return AsyncioOnly(f"{self._step} of service {name!r}", cause, self._place)
        return StartupFailed(name, self._step, cause, self._place)


def _as_lifespan(function: Callable[..., Any]) -> Lifespan:
    """Accept a context manager function with or without the app as its argument, sync or async, decorated or not."""

    @asynccontextmanager
    async def enter(app: Any) -> AsyncIterator[Any]:
        if isgeneratorfunction(function):
            raise TypeError(f"lifespan {function.__qualname__} is a plain generator: put @asynccontextmanager on it")
        target: Any = asynccontextmanager(function) if isasyncgenfunction(function) else function
        manager = target(app) if signature(target).parameters else target()
        if hasattr(manager, "__aenter__"):
            async with manager as state:
                yield state
        else:
            with manager as state:
                yield state

    return enter
