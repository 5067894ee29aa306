"""Mappings: the endpoints of a service and what was declared of each, whether it runs or not."""

from typing import Any

from evox.config import without_secrets
from evox.data import Intent
from evox.services import Endpoint, Service
from evox.services.caching import caching_of
from evox.services.declaration import Declaration
from evox.services.operations import operations_of

__all__ = ["mappings_of", "said_of", "syntax_of", "syntaxes_of"]


def syntaxes_of(service: Service) -> str:
    """Name the syntaxes that a service is written in."""
    if service.adopted:
        return "FastAPI app"
    used = {"classes" if row.controller is not None else "functions" for row in service.endpoints}
    return " and ".join(sorted(used, reverse=True)) or "no endpoints"


def syntax_of(row: Endpoint | None) -> str:
    """Return the syntax of one endpoint; None is a raw route."""
    return "FastAPI" if row is None else "class" if row.controller is not None else "function"


def mappings_of(service: Declaration) -> list[dict[str, Any]]:
    """Return the endpoints of a service, with all that was declared of them; raw routes with what is known."""
    return [
        {
            "name": one.name,
            "method": one.method,
            "path": one.path,
            "syntax": syntax_of(one.row),
            **(_declared(one.row) if one.row is not None else {}),
        }
        for one in operations_of(service.name, service.app)
    ]


def _declared(row: Endpoint) -> dict[str, Any]:
    kept = caching_of(row)
    return {
        "priority": row.priority.label,
        "private": row.private,
        "requires": None if row.requirement is None else str(row.requirement),
        "intent": None if kept is None else said_of(kept[0]),
        "timeout": row.timeout,
        "idempotency": row.idempotency,
        "on_disconnect": row.on_disconnect,
        "place": None if row.place is None else str(row.place),
    }


def said_of(intent: Intent) -> dict[str, Any]:
    """Return what an intent says, without secrets; what it leaves open is left out."""
    said = {name: getattr(intent, name) for name in Intent.__dataclass_fields__ if name != "place"}
    if said["backend"] is not None:
        said["backend"] = without_secrets(said["backend"])
    return {name: list(one) if isinstance(one, tuple) else one for name, one in said.items() if one not in (None, ())}
