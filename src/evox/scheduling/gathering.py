"""Gather: several calls at once, some at a time, as children of the caller.

Unlike ``asyncio.gather`` it leaves nothing running: when one call fails the others are cancelled and awaited, and what
was not begun is closed. Each call is a task with a context of its own. Inside a seat all calls ride on it, so
``concurrency`` alone says how many run.
"""

import inspect
from collections.abc import Awaitable, Iterator
from typing import Any, Final, Literal, TypeVar, overload

import anyio

from evox.context import enter_level, leave_level
from evox.errors import Escaped
from evox.scheduling.priority import Priority
from evox.strays import is_stray

__all__ = ["CONCURRENCY", "gather"]

CONCURRENCY: Final = 10
T = TypeVar("T")


@overload
async def gather(
    *calls: Awaitable[T],
    priority: Priority | str | None = ...,
    concurrency: int = ...,
    return_exceptions: Literal[False] = ...,
) -> list[T]: ...
@overload
async def gather(
    *calls: Awaitable[T], priority: Priority | str | None = ..., concurrency: int = ..., return_exceptions: bool
) -> list[T | Exception]: ...
async def gather(
    *calls: Awaitable[Any],
    priority: Priority | str | None = None,
    concurrency: int = CONCURRENCY,
    return_exceptions: bool = False,
) -> list[Any]:
    """Run calls side by side and return their values in the order given.

    Args:
        *calls: Coroutines or other awaitables, each awaited once.
        priority: Level of those that need a seat of their own. Inside a seat it has no effect.
        concurrency: How many run at a time; the others are not begun before that.
        return_exceptions: Whether an error takes the place of its call's value rather than ending the others.

    Raises:
        Exception: the first error. Several, because others failed while they were ended, are an ``ExceptionGroup``.
        TypeError: if something given is not awaitable.
        ValueError: if an option does not fit.
    """
    rest = enumerate(calls)
    token = None
    try:
        level = _checked(calls, priority, concurrency)
        token = enter_level(level) if level is not None else None
        gathering = _Gathering(len(calls), concurrency, collect=return_exceptions)
        await gathering.run(rest)
    finally:
        if token is not None:
            leave_level(token)
        for _, call in rest:
            if inspect.iscoroutine(call):
                call.close()  # Python warns of a coroutine that was never awaited
    if len(gathering.errors) == 1:
        raise gathering.errors[0]
    if gathering.errors:
        raise ExceptionGroup("several calls of gather failed", gathering.errors)
    return gathering.results


class _Gathering:
    """The calls of one gather that run, and what came of those that have."""

    def __init__(self, count: int, concurrency: int, *, collect: bool) -> None:
        self.results: list[Any] = [None] * count
        self.errors: list[Exception] = []
        self._collect = collect
        self._slots = anyio.Semaphore(concurrency, fast_acquire=True)
        self._scope = anyio.CancelScope()

    async def run(self, rest: Iterator[tuple[int, Awaitable[Any]]]) -> None:
        """Take calls from ``rest`` as others end; after an error, take no more."""
        with self._scope:
            async with anyio.create_task_group() as group:
                while not self.errors:
                    await self._slots.acquire()
                    index, call = (None, None) if self.errors else next(rest, (None, None))
                    if index is None or call is None:
                        return
                    group.start_soon(self._run, index, call)

    async def _run(self, index: int, call: Awaitable[Any]) -> None:
        try:
            self.results[index] = await call
        except Exception as error:  # noqa: BLE001  raised by gather, or handed to its caller
            self._failed(index, error)
        except BaseException as error:
            if not is_stray(error, own=True):
                raise
            self._failed(index, Escaped(f"call {index + 1} of gather", error))
        finally:
            self._slots.release()

    def _failed(self, index: int, error: Exception) -> None:
        if self._collect:
            self.results[index] = error
        else:
            self.errors.append(error)
            self._scope.cancel()


def _checked(calls: tuple[Any, ...], priority: Priority | str | None, concurrency: int) -> Priority | None:
    seen: set[int] = set()
    for position, call in enumerate(calls, 1):
        if not inspect.isawaitable(call):
            raise TypeError(f"call {position} of gather is {call!r}: write the call itself, such as get_user(1)")
        if id(call) in seen:
            raise ValueError(f"call {position} of gather was given before: each can be awaited once")
        seen.add(id(call))
    if type(concurrency) is not int or concurrency < 1:
        raise ValueError(f"concurrency={concurrency!r} of gather does not fit: it is a number of calls, 1 or more")
    return None if priority is None else Priority.parse(priority)
