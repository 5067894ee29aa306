"""A6: who calls, at each hop of a chain: the original user with the user's own roles, wherever the services are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, TypeAlias

import anyio
import pytest
from fastapi import APIRouter, FastAPI

from evox import Depends, Request, Service, ServiceBuilder
from evox.core import auth, proxy
from evox.errors import CallDenied, CallFailed
from evox.testing import Env, acting_as, running, spread

Where: TypeAlias = Literal["in-process", "loopback", "mixed"]
everywhere = pytest.mark.parametrize("where", ["in-process", "loopback", "mixed"])
MIDDLES = ["own", "own_that_needs_a_request", "router", "router_that_needs_a_request", "adopted"]
Who: TypeAlias = dict[str, Any]


def who() -> Who:
    found = auth.current()
    return {"who": f"{found.kind} {found.subject}", "roles": sorted(found.roles), "chain": list(found.chain)}


def ada(*chain: str) -> Who:
    return {"who": "user ada", "roles": ["user"], "chain": list(chain)}


def by_itself(service: str, *chain: str) -> Who:
    return {"who": f"service {service}", "roles": [], "chain": list(chain or [service])}


def last() -> ServiceBuilder:
    svc = ServiceBuilder("last")

    @svc.get("/who", private=True)
    async def ask() -> Any:
        return who()

    @svc.get("/role")
    @auth.require_roles("user")
    async def role() -> Any:
        return who()

    @svc.get("/admin")
    @auth.require_roles("admin")
    async def admin() -> str:
        return "secret"

    return svc


def middle(kind: str) -> Service:
    """Make a service that asks nothing, and calls another one."""
    app, router, svc = FastAPI(), APIRouter(), ServiceBuilder("middle")

    async def on() -> list[Any]:
        return [who(), await proxy.last.ask()]

    async def on_with_request(request: Request) -> list[Any]:
        return [who(), await proxy.last.ask()]

    if kind == "adopted":
        app.get("/on", name="on")(on)
        return Service.from_fastapi(app, name="middle")
    handler = on_with_request if kind.endswith("request") else on
    (router if kind.startswith("router") else svc).get("/on", name="on")(handler)
    svc.include_router(router)
    return svc


def first() -> ServiceBuilder:
    svc = ServiceBuilder("first")

    @svc.get("/on")
    @auth.require_roles("user")
    async def on() -> list[Any]:
        return [who(), *await proxy.middle.on()]

    @svc.get("/direct")
    @auth.public
    async def direct() -> Any:
        return await proxy.last.ask()

    @svc.get("/admin")
    @auth.public
    async def admin() -> Any:
        return await proxy.last.admin()

    return svc


@asynccontextmanager
async def placed(where: Where, a: Service, b: Service, c: Service) -> AsyncIterator[Env]:
    """Run three services: in one process, each for itself, or the last one elsewhere."""
    if where != "mixed":
        async with spread(where, a, b, c) as env:
            yield env
        return
    async with running(c, sockets=True) as there:
        peers = {"last": there.url(c)}
        async with running(a, b, declared=[c], settings={"peers": peers}) as env:
            yield env


@everywhere
@pytest.mark.parametrize("kind", MIDDLES)
async def test_A6_the_user_and_the_chain_are_the_same_behind_whatever_stands_between(where: Where, kind: str) -> None:
    """Routers and adopted apps that asked nothing called on in their own name, with a chain that began with them."""
    a, b, c = first(), middle(kind), last()
    async with placed(where, a, b, c) as env:
        answer = await env.client(a, token=env.token("ada", roles=["user"])).get("/on")
        assert answer.json() == [ada(), ada("first"), ada("first", "middle")]


@everywhere
async def test_A6_a_service_lends_its_user_no_role_and_no_name(where: Where) -> None:
    a, b, c = first(), middle("own"), last()
    async with placed(where, a, b, c) as env:
        token = env.token("ada", roles=["user"])
        assert (await env.client(a, token=token).get("/admin")).status_code == 502
        assert (await env.client(a).get("/admin")).status_code == 502
        assert (await env.client(a).get("/direct")).json() == by_itself("first")
        assert (await env.client(a, token="x.y.z").get("/direct")).json() == by_itself("first")
        admin = env.token("root", roles=["admin"])
        assert (await env.client(a, token=admin).get("/admin")).json() == "secret"


@everywhere
async def test_A6_what_a_service_does_by_itself_it_does_without_roles(where: Where) -> None:
    """Start-up, background tasks and checks work for the system, which is nobody outside of its service."""
    a, b, c = first(), middle("own"), last()
    seen: dict[str, Any] = {}
    done = anyio.Event()

    async def look(name: str) -> None:
        seen[name] = await proxy.last.ask()
        with pytest.raises(CallDenied):
            await proxy.last.role()

    @a.on_startup
    async def start() -> None:
        seen["system"] = auth.current().kind

    @a.background_task()
    async def task() -> None:
        await look("task")
        done.set()
        await anyio.sleep_forever()

    @a.health_check("last")
    async def check() -> None:
        await look("check")

    async with placed(where, a, b, c) as env:
        with anyio.fail_after(5):
            await done.wait()
        assert (await env.client(a).get("/health")).status_code == 200
        assert seen == {"system": "system", "task": by_itself("first"), "check": by_itself("first")}


@everywhere
async def test_A6_a_job_keeps_the_user_who_started_it_and_gains_nothing(where: Where) -> None:
    a, b, c = first(), middle("own"), last()
    seen: list[Any] = []
    done = anyio.Event()

    async def job() -> None:
        seen.append(await proxy.last.ask())
        seen.append((await proxy.middle.on())[1])
        done.set()

    @a.post("/job")
    @auth.require_roles("user")
    async def start() -> None:
        a.start_soon(job)

    async with placed(where, a, b, c) as env:
        await env.client(a, token=env.token("ada", roles=["user"])).post("/job")
        with anyio.fail_after(5):
            await done.wait()
        assert seen == [ada("first"), ada("first", "middle")]


@everywhere
async def test_A6_calls_at_once_are_each_on_behalf_of_their_own_user(where: Where) -> None:
    a, b, c = first(), middle("router"), last()

    async def ask(name: str | None) -> Any:
        with acting_as(name, roles=[f"role-{name}"] if name else []):
            return (await proxy.middle.on())[1]

    async with placed(where, a, b, c):
        names = ["ada", None, "bob", "eve"] * 3
        answers = await proxy.gather(*[ask(name) for name in names], concurrency=6)
        for name, answer in zip(names, answers, strict=True):
            expected = ada("first", "middle") | {"who": f"user {name}", "roles": [f"role-{name}"]}
            assert answer == (expected if name else by_itself("first", "first", "middle") | {"who": "service middle"})


@pytest.mark.parametrize("kind", ["own", "router", "adopted"])
async def test_A6_a_circle_ends_whatever_it_goes_through(kind: str) -> None:
    """A router that asked nothing began the chain anew, so its circle had no end."""
    app, router, svc = FastAPI(), APIRouter(), ServiceBuilder("circle")
    depth = 0

    async def on() -> Any:
        nonlocal depth
        depth += 1
        return depth if depth > 40 else await proxy.circle.on()

    places: dict[str, Any] = {"own": svc, "router": router, "adopted": app}
    places[kind].get("/on", name="on")(on)
    svc.include_router(router)
    one = Service.from_fastapi(app, name="circle") if kind == "adopted" else svc
    async with running(one):
        with pytest.raises(CallFailed):
            await proxy.circle.on()
        assert depth <= 16


async def test_A6_a_dependency_sees_the_caller_that_its_handler_sees() -> None:
    svc, asker = ServiceBuilder("callee"), ServiceBuilder("asker")

    async def subject() -> str:
        return auth.current().subject

    @svc.get("/both")
    async def both(before: Annotated[str, Depends(subject)]) -> list[str]:
        return [before, auth.current().subject]

    for where in ("in-process", "loopback"):
        async with spread(where, asker, svc):
            with acting_as("ada"):
                assert await proxy.callee.both() == ["ada", "ada"]
            assert await proxy.callee.both() == ["asker", "asker"]
