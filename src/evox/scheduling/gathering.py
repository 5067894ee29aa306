"""Gather: several calls at once, some at a time, as children of the caller.

Unlike ``asyncio.gather`` it leaves nothing running: when one call fails the others are cancelled and awaited, and what
was not begun is closed. Inside a seat all calls ride on it, so ``concurrency`` alone says how many run.
"""

import inspect
from collections.abc import Awaitable, Iterator
from typing import Any, Final, Literal, TypeVar, overload

import anyio

from evox.context import enter_level, leave_level
from evox.scheduling.priority import Priority

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
        Exception: the first error. Several at the same time are an ``ExceptionGroup``.
        TypeError: if something given is not awaitable.
        ValueError: if an option does not fit.
    """
    try:
        level = _checked(calls, priority, concurrency)
    except (TypeError, ValueError):
        _close(calls)
        raise
    results: list[Any] = [None] * len(calls)
    rest = iter(enumerate(calls))
    token = enter_level(level) if level is not None else None
    try:
        async with anyio.create_task_group() as group:
            for _ in range(min(concurrency, len(calls))):
                group.start_soon(_work, rest, results, return_exceptions)
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        raise
    finally:
        if token is not None:
            leave_level(token)
        _close(call for _, call in rest)
    return results


async def _work(rest: Iterator[tuple[int, Awaitable[Any]]], results: list[Any], collect: bool) -> None:
    for index, call in rest:
        try:
            results[index] = await call
        except Exception as error:
            if not collect:
                raise
            results[index] = error


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


def _close(calls: Any) -> None:
    """Close what was not begun, so that Python does not warn that it was never awaited."""
    for call in calls:
        if hasattr(call, "close"):
            call.close()
