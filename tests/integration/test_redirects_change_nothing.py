"""A redirect that sends a write elsewhere has changed nothing: no answer is taken away for it, whoever sends it."""

import pytest

from evox import ServiceBuilder
from evox.core import auth
from evox.testing import running


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_D6_the_routers_own_redirect_takes_no_answer_away(method: str) -> None:
    svc, calls = ServiceBuilder("a"), []

    @svc.get("/report", cache="1h")
    @auth.require_roles("admin")
    async def report() -> int:
        calls.append(1)
        return len(calls)

    async with running(svc) as env:
        root = env.client(svc, token=env.token("root", roles=["admin"]))
        assert (await root.get("/report")).json() == 1
        reply = await env.client(svc).request(method, "/report/")
        assert reply.status_code == 307
        assert (await root.get("/report")).json() == 1
