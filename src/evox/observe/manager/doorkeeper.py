"""Doorkeeper: lets one browser in, which brings the code of the printed URL, and knows it by a cookie from then on.

The code is good once. The cookie is HttpOnly and SameSite=Strict, lives in memory on both sides and ends with either.
Requests for another host than this one are refused: a page elsewhere could lead a browser here under a name of its own.
Every answer forbids scripts, styles and frames from anywhere else.
"""

import hmac
import re
import secrets
from collections.abc import Collection
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Doorkeeper", "Sessions"]

COOKIE: Final = "evox-dashboard"
ENTRANCE: Final = "/enter"
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
OPEN: Final = ("/health", "/health/live", "/health/ready", "/health/startup")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Evox dashboard</title>{head}"
    "<body><main><h1>Evox dashboard</h1><p>{text}</p></main>"
)


class Sessions:
    """The one-time code, and who has used it.

    Attributes:
        code: What has to be brought once.
    """

    def __init__(self) -> None:
        self.code = secrets.token_urlsafe(32)
        self._used = False
        self._known: set[str] = set()

    def __repr__(self) -> str:
        return f"<Sessions: {len(self._known)}>"

    def enter(self, code: str) -> str | None:
        """Return a new session for the code; None if it is another one, or was used."""
        if self._used or not hmac.compare_digest(code.encode(), self.code.encode()):
            return None
        self._used = True
        made = secrets.token_urlsafe(32)
        self._known.add(made)
        return made

    def knows(self, session: str) -> bool:
        """Whether a session was given out here."""
        found = [hmac.compare_digest(session.encode(), one.encode()) for one in self._known]
        return any(found)


class Doorkeeper:
    """Stands before the pages.

    Args:
        app: The pages.
        sessions: The code, and who has used it.
        hosts: Host names under which the dashboard is reached.
    """

    guards: Final = True

    def __init__(self, app: ASGIApp, sessions: Sessions, hosts: Collection[str]) -> None:
        self._app, self._sessions, self._hosts = app, sessions, frozenset(one.lower() for one in hosts)

    def __repr__(self) -> str:
        return f"<Doorkeeper for {', '.join(sorted(self._hosts))}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._look(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, _adding(send))
            return
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, _adding(noting))
        except Exception:
            if not has_begun:  # else who is outside answers, without the headers
                await _page("The dashboard has failed: its log says why.", 500)(scope, receive, _adding(send))
            raise

    def _look(self, request: Request) -> Response | None:
        """Return what a request is answered instead of the pages; None if it may go on."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._hosts:
            return PlainTextResponse("this is not the host that the dashboard is for", 421)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("the dashboard is only to be looked at", 405, {"allow": "GET, HEAD"})
        if request.url.path in OPEN:
            return None
        session = request.cookies.get(_cookie(request))
        is_known = session is not None and self._sessions.knows(session)
        if request.url.path == ENTRANCE:
            return _go_on() if is_known else self._enter(request)
        if is_known:
            return None
        return _page("This browser is not known here. Open the URL that <code>evox dashboard</code> has printed.", 401)

    def _enter(self, request: Request) -> Response:
        session = self._sessions.enter(request.query_params.get("code", "")) if request.method == "GET" else None
        if session is None:
            return _page(
                "This link is not good, or was used. Start <code>evox dashboard</code> again for another.", 403
            )
        response = _go_on()
        secure = request.url.scheme == "https"
        response.set_cookie(_cookie(request), session, httponly=True, samesite="strict", secure=secure, path="/")
        return response


def _go_on() -> Response:
    """Lead to the pages. No redirect does: a browser that comes from elsewhere would bring no strict cookie along."""
    return _page('<a href="/">Go on</a>', 200, '<meta http-equiv="refresh" content="0;url=/">')


def _page(text: str, status: int, head: str = "") -> Response:
    return HTMLResponse(_PAGE.format(text=text, head=head), status, {"cache-control": "no-store"})


def _cookie(request: Request) -> str:
    """Return the cookie's name. Browsers share cookies between the ports of a host, and there may be two dashboards."""
    return f"{COOKIE}-{request.url.port or request.url.scheme}"


def _name_of(host: str) -> str:
    """Return the name in a Host header; empty if there is none, or no port that there could be."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found is not None and int(found[2] or 0) <= 65_535 else ""


def _adding(send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return adding
