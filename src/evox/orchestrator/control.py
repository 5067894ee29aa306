"""Control: the only door that writes. A socket of its own, beside the one that is for looking, for an operator.

Whoever opens it is this user; whoever is heard shows the operator token too, so that a process of the same user which
was led to send something there changes nothing.
"""

import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from anyio.abc import TaskGroup
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evox.auth import credentials_of, read_secret
from evox.config import Loaded, ServingSettings
from evox.errors import EvoxError, MalformedToken
from evox.errors.secrets import remember
from evox.observe.directory import Place
from evox.services import Scope
from evox.services.clearing import Selection, clear, names_of
from evox.serving import Port

__all__ = ["ControlSocket", "Invalidation", "control_app"]

SETTINGS: Final = ServingSettings(connections=16, keep_alive=5.0)
LARGEST: Final = 65_536  # bytes of a question
_log = logging.getLogger("evox.control")


class Invalidation(BaseModel):
    """What an operator asks for.

    Attributes:
        selection: Which copies.
        services: Of which services; of all if empty.
        dry_run: Whether they are only counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    selection: Selection
    services: tuple[str, ...] = ()
    dry_run: bool = False


class ControlSocket:
    """The control socket of this process.

    Args:
        loaded: The project's configuration.
        environ: Where ``env:NAME`` is looked up.

    Raises:
        UnusableKey: if the operator token that it names cannot be used.
    """

    def __init__(self, loaded: Loaded, environ: Any) -> None:
        source = loaded.settings.control.token
        self._is_own = source is None
        self._token = secrets.token_urlsafe(32) if source is None else read_secret(source, loaded.root, environ)
        remember(self._token)
        self._port: Port | None = None

    def __repr__(self) -> str:
        return f"<ControlSocket {'serving' if self._port else 'closed'}>"

    def serve(self, place: Place, scope: Scope, *, nursery: TaskGroup, connections: TaskGroup) -> None:
        """Answer on it. Comes before the note of the process is published.

        Raises:
            OSError: if it cannot be made.
        """
        bound = place.controlled(self._token if self._is_own else None)
        app = control_app(scope, self._token)
        self._port = Port(bound, app, SETTINGS, service="control", connections=connections)
        nursery.start_soon(self._port.serve, name="listener:control")

    async def close(self) -> None:
        """Answer no more."""
        if self._port is not None:
            await self._port.close()
            self._port.abort()


def control_app(scope: Scope, token: str) -> Starlette:
    """Return the app behind the socket: ``POST /cache/invalidate``, for whoever shows the token.

    Args:
        scope: The runtime.
        token: The operator's.
    """

    async def invalidate(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                return JSONResponse({"detail": f"more than {LARGEST} bytes"}, 413)
        try:
            asked = Invalidation.model_validate_json(bytes(body))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            return JSONResponse({"detail": "; ".join(one["msg"] for one in found)}, 422)
        return JSONResponse({"services": await _invalidate(scope, asked)})

    return Starlette(routes=[Route("/cache/invalidate", _for_operators(invalidate, token), methods=["POST"])])


def _for_operators(
    endpoint: Callable[[Request], Awaitable[Response]], token: str
) -> Callable[[Request], Awaitable[Response]]:
    expected = token.encode()

    async def guarded(request: Request) -> Response:
        try:
            given = credentials_of(request.scope["headers"])
        except MalformedToken:
            given = None
        is_known = (
            given is not None and given.scheme == "bearer" and hmac.compare_digest(given.token.encode(), expected)
        )
        if not is_known:
            _log.warning("%s was refused: no operator token, or another one", request.url.path)
            return JSONResponse({"detail": "the operator token is needed"}, 401)
        return await endpoint(request)

    return guarded


async def _invalidate(scope: Scope, asked: Invalidation) -> dict[str, Any]:
    """Do it service by service, and return what came of it: ``count`` and, of that, ``shared``; or ``error``."""
    found: dict[str, Any] = {}
    for running in list(scope.lives):
        if asked.services and running.name not in asked.services:
            continue
        data = running.maybe_data
        if data is None:
            found[running.name] = {"error": "it is not started"}
            continue
        if asked.selection.of is not None and asked.selection.of not in (known := names_of(data)):
            found[running.name] = {"count": 0, "types": known}
            continue
        try:
            count = await clear(data, asked.selection, dry_run=asked.dry_run)
        except EvoxError as error:
            found[running.name] = {"error": f"{error.what}: {error.why}" if error.why else error.what}
        else:
            found[running.name] = {"count": count.count, "shared": count.shared}
        if not asked.dry_run:  # a warning, so that production logs it: somebody changed something from outside
            shown = asked.selection.model_dump(exclude_defaults=True)
            _log.warning("operator: invalidated %s of %s: %s", shown, running.name, found[running.name])
    return found
