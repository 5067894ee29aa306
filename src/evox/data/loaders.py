"""Loaders: calls what fills a key, however it was written: async or not, with the key or without."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread

from evox.errors import AuthError

__all__ = ["call_loader", "is_of_source"]


async def call_loader(loader: Callable[..., Any], key: str) -> Any:
    """Call a loader, async or not, with the key if it takes one."""
    function = partial(loader, key) if _takes_key(loader) else loader
    if inspect.iscoroutinefunction(loader) or inspect.iscoroutinefunction(getattr(loader, "__call__", None)):  # noqa: B004
        return await function()
    # In a tuple, as trio lets no thread return what is to be awaited; a lambda around an async function does.
    (value,) = await anyio.to_thread.run_sync(lambda: (function(),))
    return await value if inspect.isawaitable(value) else value


def _takes_key(loader: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(loader).parameters.values()
    except ValueError:  # of a builtin, such as str
        return True
    return any(
        one.kind is one.VAR_POSITIONAL
        or (one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD))
        for one in parameters
    )


def is_of_source(error: Exception) -> bool:
    """Whether a loader's error is one of its source, for which an old copy is better than none: no refusal is."""
    return not isinstance(error, AuthError)
