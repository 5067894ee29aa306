"""OpenAPI: what the document says of callers, so that `/docs` can authorise and generated clients know where to.

Roles stand in the security requirement of an operation, as OpenAPI 3.1 has it for schemes that are not OAuth.
"""

from typing import Any, Final

from evox.services.endpoint import Endpoint

__all__ = ["SCHEME", "secured", "security_of"]

SCHEME: Final = "bearerAuth"
_SCHEME: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
_PROBLEM: Final = {"application/problem+json": {"schema": {"type": "object"}}}
_REFUSALS: Final = {
    401: {"description": "It is not known who calls", "content": _PROBLEM},
    403: {"description": "The caller may not do this", "content": _PROBLEM},
}


def security_of(row: Endpoint) -> dict[str, Any]:
    """Return the FastAPI options that document what an endpoint asks of callers."""
    requirement = row.requirement
    if requirement is None:
        return {}
    extra = dict(row.options.get("openapi_extra") or {})
    if requirement.public:
        return {"openapi_extra": {"security": []} | extra}
    extra = {"security": [{SCHEME: list(requirement.roles)}]} | extra
    if requirement.intent_types:
        extra = {"x-evox-intent": list(requirement.intent_types)} | extra
    return {"openapi_extra": extra, "responses": _REFUSALS | (row.options.get("responses") or {})}


def secured(document: dict[str, Any], rows: tuple[Endpoint, ...]) -> dict[str, Any]:
    """Return a document with the scheme that its operations name, if one does."""
    if any(row.requirement is not None and not row.requirement.public for row in rows):
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes.setdefault(SCHEME, _SCHEME)
    return document
