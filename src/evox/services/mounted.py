"""Mounted: enters the lifespans of mounted apps, which no ASGI server does.

Parents often run a mounted app's lifespan by hand for that reason, and running it twice would break apps that can
start only once. So each is watched while the parent's own lifespan starts, and only those left over are entered.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import CellType
from typing import Any, TypeAlias

from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import Mount

__all__ = ["Lifespan", "Mounted"]

SEARCHED = 200
Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]


class Mounted:
    """The apps mounted below one app, at any depth.

    Args:
        app: The parent. Make this before entering its lifespan.
    """

    def __init__(self, app: Any) -> None:
        self._entered: set[int] = set()
        self._apps = list(_mounts(app, set()))
        self._originals: dict[int, Lifespan] = {id(sub): sub.router.lifespan_context for _, sub in self._apps}
        for _, sub in self._apps:
            sub.router.lifespan_context = self._watched(sub)

    def _watched(self, sub: Starlette) -> Lifespan:
        original = self._originals[id(sub)]

        def enter(app: Any) -> AbstractAsyncContextManager[Any]:
            self._entered.add(id(sub))
            return original(app)

        return enter

    def unwatch(self) -> None:
        """Put every lifespan back as it was."""
        for _, sub in self._apps:
            sub.router.lifespan_context = self._originals[id(sub)]

    async def enter_rest(
        self, stack: AsyncExitStack, parent: Lifespan | None
    ) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Enter the lifespans that the parent did not enter.

        Args:
            stack: Leaves them in reverse order.
            parent: The parent's own lifespan; a mounted app that shares it was entered with it.

        Yields:
            Each one's path before it is entered, with an empty state, and again after, with its own.
        """
        for path, sub in self._apps:
            original = self._originals[id(sub)]
            if id(sub) in self._entered or _reaches(parent, original):
                continue
            yield path, {}
            state = await stack.enter_async_context(original(sub))
            yield path, state or {}


def _reaches(function: Any, wanted: Lifespan) -> bool:
    """Whether a lifespan is made of another: FastAPI merges lifespans into closures, and users combine them by hand."""
    seen: set[int] = set()
    waiting = [function]
    while waiting and len(seen) < SEARCHED:
        one = waiting.pop()
        if one is wanted or (inspect.ismethod(one) and one == wanted):
            return True
        if isinstance(one, list | tuple | set | frozenset):
            waiting += one
        if id(one) in seen or not callable(one):
            continue
        seen.add(id(one))
        inner = inspect.unwrap(one)
        waiting += [getattr(one, "__wrapped__", None), getattr(one, "func", None), inner]
        waiting += [cell.cell_contents for cell in getattr(inner, "__closure__", None) or () if _filled(cell)]
        names = getattr(getattr(inner, "__code__", None), "co_names", ())
        waiting += [inner.__globals__.get(name) for name in names if hasattr(inner, "__globals__")]
    return False


def _filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _mounts(app: Any, seen: set[int]) -> Iterator[tuple[str, Starlette]]:
    routes = app.router.routes if isinstance(app, Starlette) else []
    for route in iter_route_contexts(routes):
        mount = route.original_route
        if isinstance(mount, Mount):
            sub = getattr(mount, "_base_app", mount.app)  # below the mount's own middleware
            if isinstance(sub, Starlette) and id(sub) not in seen:
                seen.add(id(sub))
                yield mount.path, sub
                if not hasattr(sub, "evox_service"):  # a service enters those below it by itself
                    yield from _mounts(sub, seen)
