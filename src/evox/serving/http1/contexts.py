"""Contexts: runs a coroutine of a task in a context of its own, as it would have it in a task of its own.

The requests of a connection share its task. What one of them sets in context variables must not be there for the next,
which may be another user's: a proxy sends those of many over one connection.
"""

import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["in_context"]

T = TypeVar("T")


@types.coroutine
def in_context(context: Context, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Run a coroutine to its end; what it sets in context variables stays in ``context``."""
    run, step, value = context.run, coroutine.send, None
    while True:
        try:
            waiting = run(step, value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            value, step = (yield waiting), coroutine.send
        except BaseException as error:  # noqa: BLE001  it is the coroutine's
            value, step = error, coroutine.throw
