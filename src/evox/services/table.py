"""Table: which endpoint of ours a router would choose for a request, found at once instead of by trying each route.

It holds the routes of one router in their order. Where it cannot know what the router would choose, because something
else stands before or may match too, it says nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.convertors import StringConvertor
from starlette.routing import Route, WebSocketRoute
from starlette.types import Scope

from evox.services.route import EvoxRoute

__all__ = ["Routes", "Table"]

_KNOWN: Final = (EvoxRoute, APIRoute, Route)  # whose way of matching is known; subclasses may have one of their own
_UNKNOWN: Final = object()
_NONE: Final[Mapping[str, Any]] = {}


class Routes(list[Any]):
    """The routes of a router.

    Attributes:
        changes: How often they have changed.
    """

    changes = 0


def _counting(name: str) -> Callable[..., Any]:
    change = getattr(list, name)

    def changing(self: Routes, *args: Any, **options: Any) -> Any:
        self.changes += 1
        return change(self, *args, **options)

    return changing


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"):
    setattr(Routes, _name, _counting(_name))
for _name in ("__delitem__", "__iadd__", "__imul__", "__setitem__"):
    setattr(Routes, _name, _counting(_name))


class _Template:
    """A route with placeholders, within a pattern that tells which of many matches.

    Args:
        route: The route.
        found: It, if it may be found.
        first: The number of its first group in the pattern.
    """

    __slots__ = ("_only", "_places", "found")

    def __init__(self, route: Any, found: EvoxRoute | None, first: int) -> None:
        self.found = found
        numbers = route.path_regex.groupindex
        self._places = [
            (name, first + numbers[name], None if type(convertor) is StringConvertor else convertor.convert)
            for name, convertor in route.param_convertors.items()
        ]
        is_plain = len(self._places) == 1 and self._places[0][2] is None
        self._only = self._places[0][:2] if is_plain else None

    def parameters(self, match: re.Match[str]) -> dict[str, Any]:
        """Return what stands in its placeholders."""
        if self._only is not None:
            name, number = self._only
            return {name: match[number]}
        return {
            name: match[number] if convert is None else convert(match[number]) for name, number, convert in self._places
        }


class Table:
    """The routes of one router.

    Args:
        routes: They are a ``Routes``, else nothing is ever found.

    Attributes:
        routes: The same.
        changes: How often they had changed when this was made; it is of no use when that is another number.
    """

    def __init__(self, routes: Any) -> None:
        self.routes = routes
        self.changes: int = routes.changes if isinstance(routes, Routes) else -1
        self._exact: dict[tuple[str, str], EvoxRoute | None] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[int, _Template]]] = {}
        known = list(_known(routes)) if isinstance(routes, Routes) else []
        for method in {method for route in known for method in route.methods or ()}:
            self._add(method, [one for one in known if method in (one.methods or (method,))])

    def __repr__(self) -> str:
        return f"<Table of {len(self.routes)} routes>"

    def find(self, scope: Scope) -> "tuple[EvoxRoute, dict[str, Any]] | None":
        """Return which endpoint a request is for, and what stands in its placeholders; None if it is not known here."""
        path: str = scope["path"] if not scope.get("root_path") else get_route_path(scope)
        method: str = scope["method"]
        exact: Any = self._exact.get((method, path), _UNKNOWN)
        if exact is not _UNKNOWN:
            return None if exact is None else (exact, {})
        pattern = self._patterns.get(method)
        match = None if pattern is None else pattern[0].fullmatch(path)
        if match is None:
            return None
        template = pattern[1][match.lastindex]  # type: ignore[index]  # one of them has matched
        if template.found is None:
            return None
        try:
            return template.found, template.parameters(match)
        except Exception:  # noqa: BLE001  of a converter, e.g. for too many digits: the router meets it, where it is answered
            return None

    def _add(self, method: str, routes: Iterable[Any]) -> None:
        """Add the routes that answer one method."""
        parts: list[str] = []
        templates: dict[int, _Template] = {}
        before: list[Any] = []
        number = 1
        for route in routes:
            found = route if _is_short(route) else None
            if not route.param_convertors:
                if not any(one.path_regex.match(route.path) for one in before):
                    self._exact.setdefault((method, route.path), found)
                continue
            templates[number] = _Template(route, found, number)
            parts.append(f"({_unnamed(route.path_regex.pattern)})")
            number += 1 + route.path_regex.groups
            before.append(route)
        if parts:
            self._patterns[method] = re.compile("|".join(parts)), templates


def _known(routes: Iterable[Any]) -> Iterable[Any]:
    """Yield routes for as long as it is known how they match."""
    for route in routes:
        if isinstance(route, WebSocketRoute):
            continue
        if type(route) not in _KNOWN:
            return
        yield route


def _is_short(route: Any) -> bool:
    """Whether the short way leads to a route."""
    is_ours = isinstance(route, EvoxRoute) and route.entry is not None
    return is_ours and not route.uncompiled and route.row.idempotency is None


def _unnamed(pattern: str) -> str:
    """Return a route's pattern without names of groups, which may be there once only, and without its ends."""
    return re.sub(r"\(\?P<[^>]+>", "(", pattern.removeprefix("^").removesuffix("$"))
