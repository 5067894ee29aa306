"""The guard of what is no endpoint of ours looks at the route that the router takes, in whatever order routes stand."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from evox import Service, service
from evox.core import auth
from evox.testing import Env, running

REQUESTS = [
    (method, path)
    for path in ("/a/b", "/a/c", "/a/b/d", "/a", "/a/", "/z")
    for method in ("GET", "POST", "DELETE", "OPTIONS")
]


def overlapping(*, asking: bool) -> tuple[Service, list[BaseRoute]]:
    """Make a service of ours and other routes on the same paths; return those of its routes that others may precede."""
    svc = service(f"overlapping-{asking}")

    @svc.get("/a/b")
    @auth.public
    async def ours() -> str:
        return "ours"

    @svc.post("/a/{name}")
    @auth.public
    async def ours_too(name: str) -> str:
        return f"ours too, {name}"

    if asking:

        @svc.get("/secret")
        @auth.require_roles("admin")
        async def secret() -> str:
            return "secret"

    async def other(request: Request) -> PlainTextResponse:
        return PlainTextResponse("others'")

    routers = APIRouter(prefix="/a")
    routers.add_api_route("/b", lambda: "others', included", methods=["DELETE"])
    svc.app.router.routes.append(Route("/a/{name}", other, methods=["GET", "POST"]))
    svc.app.include_router(routers)
    svc.app.mount("/a/b", PlainTextResponse("others', mounted"))
    routes = list(svc.app.router.routes)
    return svc, [one for one in routes if getattr(one, "path", "/a").startswith("/a")]


def orders(own: list[BaseRoute]) -> Iterator[list[int]]:
    """Yield the orders of as many routes: some, drawn by chance but the same each time."""
    every = list(itertools.permutations(range(len(own))))
    for drawn in random.Random(8).sample(every, 12):
        yield list(drawn)


def put(svc: Service, own: list[BaseRoute], order: list[int]) -> None:
    routes = svc.app.router.routes
    kept = [one for one in routes if one not in own]
    routes[:] = [*kept, *(own[place] for place in order)]


async def answers(env: Env, svc: Service) -> dict[tuple[str, str], tuple[int, str]]:
    client = env.client(svc)
    found = {}
    for method, path in REQUESTS:
        reply = await client.request(method, path)
        found[method, path] = reply.status_code, reply.text
    return found


def guarded(answer: tuple[int, str]) -> tuple[int, bool]:
    """Return what the guard makes of an answer: ours go on, what others answer is for nobody, the rest is as it was."""
    status, text = answer
    return (401, False) if "others'" in text else (status, "ours" in text)


async def test_A1_whatever_the_order_others_are_for_nobody_and_what_is_ours_and_public_is_answered() -> None:
    plain, there = overlapping(asking=False)
    asking, here = overlapping(asking=True)
    seen: set[tuple[int, bool]] = set()
    async with running(plain, asking) as env:
        for order in orders(here):
            put(plain, there, order)
            put(asking, here, order)
            without, within = await answers(env, plain), await answers(env, asking)
            for request, answer in without.items():
                status, text = within[request]
                assert (status, "ours" in text) == guarded(answer), (order, request, answer)
                assert "others'" not in text
                seen.add((status, "ours" in text))
    assert {(200, True), (401, False), (404, False), (405, False)} <= seen


@pytest.mark.parametrize("first", ["ours", "others'"])
async def test_A1_of_two_on_one_path_the_first_is_taken_and_guarded(first: str) -> None:
    svc = service("two")

    async def other(request: Request) -> PlainTextResponse:
        return PlainTextResponse("others'")

    @svc.get("/x")
    @auth.require_roles("admin")
    async def ours() -> str:
        return "ours"

    svc.app.router.routes.insert(0 if first == "others'" else len(svc.app.router.routes), Route("/x", other))
    async with running(svc) as env:
        reply = await env.client(svc, token=env.token("root", roles=["admin"])).get("/x")
        expected = (200, '"ours"') if first == "ours" else (403, "")
        assert (reply.status_code, reply.text if reply.status_code == 200 else "") == expected


async def test_A1_a_front_end_is_for_nobody_and_hides_no_endpoint(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("others'")
    svc = service("front")

    @svc.get("/x")
    @auth.require_roles("admin")
    async def ours() -> str:
        return "ours"

    svc.app.frontend("/", directory=tmp_path)
    async with running(svc) as env:
        client = env.client(svc, token=env.token("root", roles=["admin"]))
        assert (await client.get("/page.html")).status_code == 403
        assert (await client.get("/x")).text == '"ours"'
        assert (await client.post("/x")).status_code == 405
