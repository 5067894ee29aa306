"""Logs: keeps the arguments of calls out of the log of the HTTP client, which writes the URL of each request."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["unlogged"]

_calling: ContextVar[bool] = ContextVar("evox_calling", default=False)


class _Ours(logging.Filter):
    """Leaves out what is logged of calls between services. Other requests of the process are logged as ever."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not _calling.get()


_OURS: Final = _Ours()


@contextmanager
def unlogged() -> Iterator[None]:
    """Let the HTTP client log nothing of what the current task sends in a ``with`` block."""
    logging.getLogger("httpx2").addFilter(_OURS)  # once, however often it is said
    token = _calling.set(True)
    try:
        yield
    finally:
        _calling.reset(token)
