"""Life: starts a service and stops it again, as one context manager that FastAPI runs as its lifespan.

Because it is the app's lifespan, the same happens under our own server, under any other ASGI server and under a TestClient:
mounted apps' lifespans, the service's own, hooks, background tasks and jobs, all children of one task group.

    open the task group -> enter lifespans and start-up hooks in order -> start background tasks
    ... requests ...
    stop background tasks -> wait for jobs -> shutdown hooks and lifespans in reverse -> close the group
"""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from inspect import isasyncgenfunction, isgeneratorfunction, signature
from typing import TYPE_CHECKING, Any

import anyio
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import Mount

from evox import context
from evox.errors import AsyncioOnly, EvoxError, Place, StartupFailed, StartupTimeout
from evox.failures import root_cause
from evox.runtime import Nursery, State, call, is_asyncio_only_error
from evox.services.hooks import Hook
from evox.services.running import Running, Scope

if TYPE_CHECKING:
    from evox.services.service import Service

__all__ = ["lifespan_of"]

_log = logging.getLogger("evox.lifecycle")
Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


def lifespan_of(service: "Service", original: Lifespan | None) -> Lifespan:
    """Make the lifespan of a service's app.

    Args:
        service: What was declared.
        original: The lifespan that an existing app came with, entered first; None for an app of our own.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        scope = context.maybe_service()
        hosted = isinstance(scope, Running) and scope.service is service and scope.nursery is None
        running = scope if hosted and isinstance(scope, Running) else Running(service, Scope())
        service.started_by(running, hosted=hosted)
        token = context.enter_service(running)
        try:
            async with _life(running, app, original, hosted=hosted):
                yield running.state
        finally:
            service.stopped(running)
            context.leave_service(token)

    return lifespan


@asynccontextmanager
async def _life(running: Running, app: Any, original: Lifespan | None, *, hosted: bool) -> AsyncIterator[None]:
    settings, service = running.runtime.loaded.settings.runtime, running.service
    limit = service.settings.start_timeout or settings.start_timeout
    starting = _Step("start-up", None)
    if not hosted:
        running.lifecycle.move(State.STARTING)
    # The scope stays open for the whole life: contexts entered within it may hold scopes of their own. Its deadline
    # bounds the start, and later the shutdown.
    with anyio.CancelScope(deadline=anyio.current_time() + limit) as bound:
        try:
            async with anyio.create_task_group() as group:
                on_error = running.runtime.on_job_error
                running.nursery = Nursery(group, service.name, threads=running.threads, on_error=on_error)
                async with AsyncExitStack() as stack:
                    stack.push_async_callback(_end_jobs, running, settings.shutdown_timeout)
                    try:
                        await _start(running, app, original, stack, starting)
                    except Exception as error:
                        raise _explain(service.name, starting, error) from root_cause(error)
                    bound.deadline = float("inf")
                    for runner in running.runners:
                        group.start_soon(_watch, runner, running, name=f"svc:{service.name}/bg:{runner.task.name}")
                    stack.push_async_callback(_end_work, running, bound, settings.shutdown_timeout)
                    if not hosted:
                        running.lifecycle.move(State.READY)
                    try:
                        yield
                    except BaseException:
                        if running.on_down is not None:
                            running.on_down()
                        raise
                    finally:
                        running.draining.set()
                        if not hosted and running.lifecycle.state is State.READY:
                            running.lifecycle.move(State.DRAINING)
                        # What follows runs to its end even when this task is being cancelled, but within bounds.
                        bound.shield = True
                        bound.deadline = anyio.current_time() + 2 * settings.shutdown_timeout
                group.cancel_scope.cancel()
        finally:
            running.nursery = None
            if not hosted and running.lifecycle.state is not State.STOPPED:
                running.lifecycle.move(State.STOPPED)
    if bound.cancelled_caught:
        if not running.draining.is_set():
            raise StartupTimeout(service.name, starting.name, limit, starting.place)
        _log.warning("shutdown of %s did not finish within %g s", service.name, settings.shutdown_timeout)


class _Step:
    """Which hook is being run, for the error."""

    def __init__(self, name: str, place: Place | None) -> None:
        self.name, self.place = name, place


async def _start(running: Running, app: Any, original: Lifespan | None, stack: AsyncExitStack, step: _Step) -> None:
    service = running.service
    for name in service.config_models:
        running.resolve(service.config_key(name))
    if original is not None:
        step.name = "lifespan of the app"
    entered = _Mounted(app)
    if original is not None:
        running.state.update(await stack.enter_async_context(original(app)) or {})
    async for name, state in entered.rest(stack, original):
        step.name = name
        running.state.update({key: value for key, value in state.items() if key not in running.state})
    shutdown = [hook for hook in service.hooks if hook.kind == "shutdown"]
    for hook in service.hooks:
        step.name, step.place = f"{hook.kind} hook {hook.name!r}", hook.place
        if hook.kind == "lifespan":
            state = await stack.enter_async_context(_as_lifespan(hook.function)(app))
            running.state.update(state if isinstance(state, Mapping) else {})
        elif hook.kind == "startup":
            await call(hook.function, threads=running.threads, abandon=True)
            if shutdown:
                stack.push_async_callback(_stop, running, shutdown.pop(0))
    for hook in shutdown:
        stack.push_async_callback(_stop, running, hook)
    if isinstance(app, FastAPI) and original is None:
        for function in app.router.on_startup:
            step.name = f"startup handler {getattr(function, '__qualname__', function)!r}"
            await call(function, threads=running.threads, abandon=True)
        for function in app.router.on_shutdown:
            stack.push_async_callback(_stop, running, Hook("shutdown", function, repr(function), None))


async def _stop(running: Running, hook: Hook) -> None:
    """Run one shutdown hook. Its error is logged and does not keep the others from running."""
    try:
        await call(hook.function, threads=running.threads, abandon=True)
    except Exception:
        _log.exception("shutdown hook %r of %s failed", hook.name, running.name)


async def _watch(runner: Any, running: Running) -> None:
    token = context.enter_service(running)
    try:
        await runner.run()
    finally:
        context.leave_service(token)


async def _end_work(running: Running, bound: anyio.CancelScope, limit: float) -> None:
    """Stop background tasks, then wait for jobs; what goes on past the limit is cancelled. Hooks have their own time."""
    for runner in running.runners:
        runner.stop()
    with anyio.move_on_after(limit):
        for runner in running.runners:
            await runner.ended.wait()
    await _end_jobs(running, limit)
    bound.deadline = anyio.current_time() + limit


async def _end_jobs(running: Running, limit: float) -> None:
    """Wait for jobs. Called again last of all, for those that shutdown hooks started."""
    if running.nursery is None:
        return
    with anyio.move_on_after(limit) as waiting:
        await running.nursery.wait_idle()
    if waiting.cancelled_caught:
        for name in running.nursery.cancel():
            _log.warning("cut job %s of %s: it did not end within %g s", name, running.name, limit)


def _explain(service: str, step: _Step, error: Exception) -> EvoxError:
    cause = root_cause(error)
    if isinstance(cause, EvoxError):
        return cause
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run() and is_asyncio_only_error(cause):
        return AsyncioOnly(f"{step.name} of service {service!r}", cause, step.place)
    return StartupFailed(service, step.name, cause, step.place)


def _as_lifespan(function: Callable[..., Any]) -> Lifespan:
    """Accept a context manager function with or without the app as its argument, sync or async, decorated or not."""

    @asynccontextmanager
    async def enter(app: Any) -> AsyncIterator[Any]:
        target = asynccontextmanager(function) if isasyncgenfunction(function) else function
        if isgeneratorfunction(function):
            raise TypeError(f"lifespan {function.__qualname__} is a plain generator: put @asynccontextmanager on it")
        manager = target(app) if signature(target).parameters else target()
        if hasattr(manager, "__aenter__"):
            async with manager as state:
                yield state
        else:
            with manager as state:
                yield state

    return enter


class _Mounted:
    """Enters the lifespans of mounted apps that nobody else enters.

    Parents often run a mounted app's lifespan by hand, because servers do not; running it twice would break apps that can
    start only once. So each is watched while the parent's own lifespan starts, and only those left over are entered.
    """

    def __init__(self, app: Any) -> None:
        self._seen: set[int] = set()
        self._apps = list(_mounts(app, set()))
        self._originals = {id(sub): sub.router.lifespan_context for _, sub in self._apps}
        for _, sub in self._apps:
            sub.router.lifespan_context = self._watched(sub)

    def _watched(self, sub: Starlette) -> Lifespan:
        original = self._originals[id(sub)]

        def enter(app: Any) -> AbstractAsyncContextManager[Mapping[str, Any] | None]:
            self._seen.add(id(sub))
            return original(app)

        return enter

    async def rest(self, stack: AsyncExitStack, parent: Lifespan | None) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Enter the lifespans that were not entered yet, yielding each one's name and state."""
        for path, sub in self._apps:
            original = sub.router.lifespan_context = self._originals[id(sub)]
            if id(sub) in self._seen or original is parent:
                continue
            yield f"lifespan of the app mounted at {path!r}", {}
            state = await stack.enter_async_context(original(sub))
            yield f"lifespan of the app mounted at {path!r}", state or {}


def _mounts(app: Any, seen: set[int]) -> Iterator[tuple[str, Starlette]]:
    routes = app.router.routes if isinstance(app, Starlette) else []
    for route in iter_route_contexts(routes):
        mount = route.original_route
        if isinstance(mount, Mount):
            sub = getattr(mount, "_base_app", mount.app)
            if isinstance(sub, Starlette) and id(sub) not in seen:
                seen.add(id(sub))
                yield mount.path, sub
                if not hasattr(sub, "evox_service"):
                    yield from _mounts(sub, seen)
