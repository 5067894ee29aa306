"""Authorization matrix: which role may call which operation, from what a service declares, and tried by real requests.

    matrix = authorization_matrix(svc)
    print(matrix)                                        a table for people
    assert matrix.allows("admin", "DELETE /users/{user_id}")
    assert await matrix.differences(env) == []           each cell tried over HTTP

A snapshot of ``str(matrix)`` in a test shows each change of who may do what.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from evox.auth import ANONYMOUS, Principal, Requirement
from evox.services import Endpoint, Service
from evox.testing.harness import Env

__all__ = ["ANYBODY", "NOBODY", "AuthorizationMatrix", "authorization_matrix"]

NOBODY: Final = "(no token)"
ANYBODY: Final = "(no role)"
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class AuthorizationMatrix:
    """Who may call what.

    Attributes:
        service: The service.
        roles: The columns: ``"(no token)"``, ``"(no role)"``, then each role that is named anywhere, in order.
        operations: The rows: method and path, with what is declared on each.
    """

    service: Service
    roles: tuple[str, ...]
    operations: Mapping[str, Endpoint]

    def allows(self, role: str, operation: str) -> bool:
        """Whether a caller with this one role may call an operation.

        Args:
            role: One of ``roles``.
            operation: One of ``operations``, e.g. ``"GET /users/{user_id}"``.

        Raises:
            KeyError: if there is no such operation or role.
        """
        row = self.operations[operation]
        if role not in self.roles:
            raise KeyError(f"no operation names the role {role!r}; there are: {', '.join(self.roles)}")
        if row.private:
            return False
        if row.requirement is None:
            return not self.service.asking
        return row.requirement.is_met_by(_principal(role))

    def __str__(self) -> str:
        table = [["operation", *self.roles, "intent"]]
        for name, row in self.operations.items():
            cells = ["yes" if self.allows(role, name) else "-" for role in self.roles]
            table.append([name, *cells, _intent(row.requirement, private=row.private)])
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
        )

    async def differences(self, env: Env, **paths: str) -> list[str]:
        """Send one request for each cell, and return those in which the answer is not what the matrix says.

        Requests have no body and may reach handlers where the matrix says that they may: what a handler does without
        one is done.

        Args:
            env: Where the service runs.
            **paths: What stands in placeholders of paths, e.g. ``user_id="1"``; ``"1"`` where nothing is given.
        """
        found = []
        for role in self.roles:
            token = None if role == NOBODY else env.token("tester", roles=[] if role == ANYBODY else [role])
            client = env.client(self.service, token=token)
            for name in self.operations:
                method, path = name.split(" ", 1)
                reply = await client.request(method, _filled(path, paths))
                may = self.allows(role, name)
                refusal = 401 if role == NOBODY and not self.operations[name].private else 403
                if (reply.status_code in (401, 403)) == may or (not may and reply.status_code != refusal):
                    found.append(f"{name} as {role}: {reply.status_code}, and the matrix says {'yes' if may else 'no'}")
        return found


def authorization_matrix(service: Service) -> AuthorizationMatrix:
    """Return which role may call which operation of a service.

    Args:
        service: What was declared.
    """
    rows = service.endpoints
    named = sorted({role for row in rows if row.requirement is not None for role in row.requirement.roles})
    operations = {f"{method} {row.path}": row for row in rows for method in row.methods}
    return AuthorizationMatrix(service, (NOBODY, ANYBODY, *named), MappingProxyType(operations))


def _principal(role: str) -> Principal:
    if role == NOBODY:
        return ANONYMOUS
    return Principal("user", "tester", frozenset() if role == ANYBODY else frozenset({role}))


def _intent(requirement: Requirement | None, *, private: bool) -> str:
    if private:
        return "other services"
    return (
        "" if requirement is None else ", ".join(requirement.intent_types) or ("public" if requirement.public else "")
    )


def _filled(path: str, given: Mapping[str, Any]) -> str:
    return _PLACEHOLDER.sub(lambda found: str(given.get(found[0][1:-1].partition(":")[0], "1")), path)
