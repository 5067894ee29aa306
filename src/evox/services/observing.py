"""Observing: the read-only routes below ``/_evox``, and who may read them. What they say comes from a room above.

    access     who
    loopback   this machine, as a browser or a tool on it would ask: with a Host of its own, through no proxy, and for
               no page from elsewhere
    token      who shows one of ``[tool.evox.observe] tokens`` as a bearer
    off        nobody

``auto`` is ``loopback`` with ``--dev`` and in tests, ``token`` otherwise; whom a token lets in, it lets in everywhere.
"""

import hmac
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from evox.auth import Mode, credentials_of, read_secret
from evox.config import ObserveSettings, is_loopback
from evox.errors import MalformedToken, NotAuthenticated
from evox.services.declaration import Declaration

__all__ = ["VIEWS", "Observation", "Onlookers", "answers_view", "view_path"]

PREFIX: Final = "/_evox"
VIEWS: Final = (
    *("info", "mappings", "metrics", "queues", "tasks", "scheduled", "caches", "intents", "proxy", "config"),
    *("errors", "startup", "snapshot"),
)
_RELAYED: Final = frozenset({b"forwarded", b"x-real-ip", b"via", b"cf-connecting-ip", b"true-client-ip"})


class Observation(Protocol):
    """What a room above knows of a runtime."""

    async def answer(self, view: str, running: Any, request: Request) -> Response:
        """Return one view of a service."""


class Onlookers:
    """Who may look into a runtime.

    Args:
        settings: ``[tool.evox.observe]``.
        root: The project's folder.
        mode: Whether the process runs in production.
        environ: Where ``env:NAME`` is looked up.
    """

    def __init__(
        self, settings: ObserveSettings, root: Path, mode: Mode, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._settings, self._root, self._environ = settings, root, environ
        self._is_test = mode == "test"
        auto = "token" if mode == "production" else "loopback"
        self.access = auto if settings.access == "auto" else settings.access
        self._tokens: list[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Onlookers by {self.access}>"

    def open(self) -> None:
        """Read the tokens.

        Raises:
            UnusableKey: naming the source, if one is not there or too short.
        """
        if self._tokens is None:
            sources = self._settings.tokens if self.access != "off" else ()
            self._tokens = [read_secret(one, self._root, self._environ).encode() for one in sources]

    def check(self, scope: Mapping[str, Any], target: str) -> None:
        """Let a request look.

        Raises:
            NotAuthenticated: if it may not.
        """
        self.open()
        if self.access == "off":
            raise NotAuthenticated(target, "observe.access is off")
        if self._shows_token(scope) or (self.access == "loopback" and self._is_near(scope)):
            return
        why = "it is for this machine" if self.access == "loopback" else "it shows none of observe.tokens"
        raise NotAuthenticated(target, why)

    def _shows_token(self, scope: Mapping[str, Any]) -> bool:
        try:
            given = credentials_of(scope["headers"])
        except MalformedToken:
            return False
        if given is None or given.scheme != "bearer":
            return False
        # All are compared, each in the same time whatever it has in common with what was given.
        same = [hmac.compare_digest(given.token.encode(), one) for one in self._tokens or ()]
        return any(same)

    def _is_near(self, scope: Mapping[str, Any]) -> bool:
        client = scope.get("client")
        if client is None or not is_loopback(client[0]):
            return False
        headers = scope["headers"]
        if any(name in _RELAYED or name.startswith(b"x-forwarded") for name, _ in headers):
            return False  # a proxy of this machine speaks for others
        # The app may let pages from everywhere read its answers, as one does while one develops; not these.
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if not all(is_loopback(_name_of(one.partition("://")[2])) for one in origins):
            return False
        if self._is_test:
            return True  # without sockets the host is the service's name
        hosts = [value.decode("latin-1") for name, value in headers if name in (b"host", b":authority")]
        return len(hosts) == 1 and is_loopback(_name_of(hosts[0]))  # a page elsewhere may lead a browser here by name


def _name_of(host: str) -> str:
    """Return the host of a Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def view_path(view: str) -> str:
    """Return the path of a view."""
    return f"{PREFIX}/{view}"


def answers_view(service: Declaration, view: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of one view of a service."""
    path = view_path(view)

    async def look(request: Request) -> Response:
        running = service.ambient()
        scope = running.runtime
        try:
            scope.onlookers.check(request.scope, path)
        except NotAuthenticated as error:
            running.refused(error, path)
            raise
        response = await scope.observation.answer(view, running, request)
        response.headers["cache-control"] = "no-store"
        response.headers["x-content-type-options"] = "nosniff"
        return response  # type: ignore[no-any-return]

    return look
