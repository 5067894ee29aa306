"""Isolation: runs a callee in the task of its caller, and in a context of its own.

What the callee sets in context variables is gone when it returns, as it would be if it ran elsewhere. A task would do
the same, and cost several times a whole call.
"""

from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

__all__ = ["Isolated"]

T = TypeVar("T")


class Isolated(Generic[T]):
    """An awaitable that goes on with a coroutine in a context of its own.

    The first step is made by whoever makes this, with ``context.run(coroutine.send, None)``: most need no other.

    Args:
        coroutine: What to run on.
        context: Where it runs.
        asked: What its first step asked of the loop.
    """

    __slots__ = ("_asked", "_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], context: Context, asked: Any) -> None:
        self._coroutine, self._context, self._asked = coroutine, context, asked

    def __await__(self) -> Generator[Any, Any, T]:
        coroutine, run, asked = self._coroutine, self._context.run, self._asked
        while True:
            try:
                given, step = (yield asked), coroutine.send
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001  thrown in by the loop: it is the coroutine's to deal with
                given, step = error, coroutine.throw
            try:
                asked = run(step, given)
            except StopIteration as done:
                value: T = done.value
                return value
