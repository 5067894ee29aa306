"""Asking: whether types ask what their values want of the current caller; not for the service's own affairs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_asked", "unasked"]

_unasked: ContextVar[bool] = ContextVar("evox_unasked", default=False)


@contextmanager
def unasked() -> Iterator[None]:
    """Let nothing be asked of the current caller for a while: what is done is no wish of the caller's."""
    token = _unasked.set(True)
    try:
        yield
    finally:
        _unasked.reset(token)


def is_asked() -> bool:
    """Whether types are asked."""
    return not _unasked.get()
