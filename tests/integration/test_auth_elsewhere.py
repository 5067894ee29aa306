"""Under another server, and without its lifespan: health answers, and nobody is let in whom nothing can be asked of."""

import httpx2
import pytest

from evox import ServiceBuilder
from evox.core import auth
from evox.errors import MissingKeys


def shop() -> ServiceBuilder:
    svc = ServiceBuilder("shop")

    @svc.get("/me")
    @auth.require_roles("admin")
    def me() -> str:
        return "me"

    @svc.get("/open")
    @auth.public
    def open_() -> str:
        return auth.current().kind

    return svc


async def test_without_keys_what_is_public_answers_and_nobody_else_is_let_in() -> None:
    transport = httpx2.ASGITransport(shop().app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        assert (await client.get("/health/live")).status_code in (200, 503)
        for headers in ({}, {"authorization": "Bearer a.b.c"}):
            reply = await client.get("/open", headers=headers)
            assert (reply.status_code, reply.json()) == (200, "anonymous")
            assert (await client.get("/me", headers=headers)).status_code == 500


async def test_without_keys_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    app = shop().app
    with pytest.raises(MissingKeys, match="endpoint 'me'"):
        async with app.router.lifespan_context(app):
            pass
