"""An incident of a source ends when the source answers, and also when what it failed for was changed meanwhile."""

from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.testing import Env, running


async def incidents(env: Env) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await env.client("shop").get("/_evox/snapshot")).json()["incidents"]
    return found


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_O3_an_incident_of_a_source_is_over_when_it_answers_or_was_changed(method: str) -> None:
    """After a write took the old copy away, it went on for ever."""
    svc, bad = ServiceBuilder("shop"), False

    @svc.get("/prices", cache=0.001, fallback="aggressive", max_stale="1h")
    async def prices() -> list[int]:
        if bad:
            raise OSError("no answer")
        return [1]

    @svc.post("/prices")
    async def change() -> str:
        return "changed"

    with anyio.fail_after(10):
        async with running(svc, settings={"data": {"throttle": 0.001}}) as env:
            client = env.client(svc)
            await client.get("/prices")
            bad = True
            while not await incidents(env):
                await client.get("/prices")
            bad = False
            while (await incidents(env))[0]["until"] is None:
                assert (await client.request(method, "/prices")).status_code == 200
