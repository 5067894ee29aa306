"""Isolation: runs a callee in the task of its caller, and in a context of its own.

What the callee sets in context variables is gone when it returns, as it would be if it ran elsewhere. A task would do
the same, and cost several times a whole call.
"""

from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

__all__ = ["Isolated"]

T = TypeVar("T")


class Isolated(Generic[T]):
    """An awaitable that runs a coroutine in a copy of the present context.

    Args:
        coroutine: What to run; awaited once.
    """

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        coroutine, run = self._coroutine, copy_context().run
        step, given = coroutine.send, None
        while True:
            try:
                asked = run(step, given)
            except StopIteration as done:
                value: T = done.value
                return value
            try:
                given, step = (yield asked), coroutine.send
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001  thrown in by the loop: it is the coroutine's to deal with
                given, step = error, coroutine.throw
