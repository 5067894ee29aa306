"""Strays: what gets out of user code and is no ``Exception``, though nobody has asked that code to end.

A handler awaits a task that another cancels; a job calls what calls ``sys.exit``. On its way up such a thing would end
every sibling of the task that it comes through, and on asyncio without a word. Whoever runs user code for others turns
it into an error, which is answered and logged as any other is.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from evox.errors import Escaped

__all__ = ["contained", "is_stray"]


def is_stray(error: BaseException, *, own: bool = False) -> bool:
    """Whether what was raised is neither an ordinary error nor meant for those who run the code.

    Where it was a cancellation of an ``own`` task by itself, that is taken back: the task goes on.

    Args:
        error: What has been caught, in the task that caught it.
        own: Whether nobody but cancel scopes may cancel the present task; on asyncio a caller may cancel its own.
    """
    if isinstance(error, (Exception, KeyboardInterrupt, GeneratorExit)):
        return False
    if isinstance(error, BaseExceptionGroup):
        return all(isinstance(one, Exception) or is_stray(one, own=own) for one in error.exceptions)
    if not isinstance(error, anyio.get_cancelled_exc_class()):
        return True
    task = asyncio.current_task() if isinstance(error, asyncio.CancelledError) else None
    if task is None or anyio.current_effective_deadline() == -math.inf:
        return False
    while own and task.cancelling():
        task.uncancel()
    return not task.cancelling()


@contextmanager
def contained(what: str, *, own: bool = False) -> Iterator[None]:
    """Turn what strays out of user code into an error.

    Args:
        what: The code, for the error.
        own: As for ``is_stray``.

    Raises:
        Escaped: in the stead of it.
    """
    try:
        yield
    except BaseException as error:
        if is_stray(error, own=own):
            raise Escaped(what, error) from error
        raise
