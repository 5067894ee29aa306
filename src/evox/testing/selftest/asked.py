"""Asked: what each operation of a service asks of callers, and which answers follow from that.

It is worked out here from what was declared, and not by what decides about requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import Route

from evox.auth import Requirement
from evox.services import Service
from evox.services.protection import is_documentation, requirement_of_route
from evox.testing.selftest.doors import THROUGH, chosen, filled, row_of

__all__ = ["Asked", "asked_of"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation.

    Attributes:
        method: Its method.
        path: Its path, with something in its placeholders.
        roles: With which it may be called: one of each group that is named. None if no roles will do.
        nobody: What a call without a token is answered with.
        anybody: What one is with a token that has none of the roles.
        raw: Whether it is no endpoint of Evox.
    """

    method: str
    path: str
    roles: tuple[str, ...] | None
    nobody: int
    anybody: int
    raw: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def asked_of(service: Service) -> Iterator[Asked]:
    """Yield the operations of a service: its endpoints, and routes that were added to its app."""
    asks = bool(service.asking)
    for row in service.endpoints:
        for method in row.methods:
            yield _asked(method, row.path, row.requirement, asks=asks, private=row.private)
    for leaf in iter_route_contexts(service.app.router.routes):
        route: Any = leaf.original_route
        is_plain = isinstance(route, Route) and row_of(route) is None and not is_documentation(route, service.app)
        if is_plain and leaf.path is not None and route.methods:
            method = min(route.methods - {"HEAD"} or route.methods)
            if row_of(chosen(service, method, filled(leaf.path))) is None:  # else an endpoint hides it
                yield _asked(method, leaf.path, requirement_of_route(route), asks=asks, raw=True)


def _asked(
    method: str, path: str, said: Requirement | None, *, asks: bool, private: bool = False, raw: bool = False
) -> Asked:
    path = filled(path)
    if private:
        return Asked(method, path, None, 403, 403, raw)
    if said is None:
        return Asked(method, path, None, 401, 403, raw) if asks else Asked(method, path, (), THROUGH, THROUGH, raw)
    if said.public:
        return Asked(method, path, (), THROUGH, THROUGH, raw)
    roles = tuple(clause.roles[0] for clause in said.clauses if clause.roles)
    return Asked(method, path, roles, 401, 403 if roles else THROUGH, raw)
