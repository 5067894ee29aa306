"""D5, D6: kept answers of endpoints with dependencies. What dependencies do is each request's own."""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Annotated, Any

import anyio
import pytest
from fastapi.responses import JSONResponse

from evox import Depends, Header, HTTPException, Intent, Request, Response, ServiceBuilder
from evox.errors import BackendUnavailable, InvalidDeclaration
from evox.testing import run_virtual, running

User = Annotated[str, Header(alias="x-user")]


async def current(x_user: User) -> str:
    return x_user


def by(name: str) -> dict[str, str]:
    return {"x-user": name}


async def test_D6_what_dependencies_set_on_the_response_is_each_requests_own() -> None:
    """A kept answer carried another client's headers, and the cookie of a renewed session was lost on a hit."""
    svc, renews = ServiceBuilder("shop"), False

    async def tenant(response: Response, x_user: User) -> str:
        response.headers["x-seen"] = x_user
        response.headers["cache-control"] = "max-age=5"
        if renews:
            response.set_cookie("session", x_user)
        return "acme"

    @svc.get("/plans", cache=60)
    @Intent(vary_on=["tenant"])
    async def plans(response: Response, tenant: Annotated[str, Depends(tenant)]) -> str:
        response.headers["x-plans"] = "2"
        return tenant

    async with running(svc) as env:
        client = env.client(svc)
        for name, status in (("alice", "fwd=miss; stored"), ("bob", "hit; ttl=60"), ("eve", "hit; ttl=60")):
            answer = await client.get("/plans", headers=by(name))
            assert (answer.headers["x-seen"], answer.headers["x-plans"]) == (name, "2")
            assert answer.headers.get_list("cache-control") == ["max-age=5"]
            assert answer.headers["cache-status"] == f"evox; {status}"
            renews = renews or name == "bob"
        assert answer.cookies["session"] == "eve"
        unchanged = await client.get("/plans", headers={**by("eve"), "if-none-match": answer.headers["etag"]})
        assert (unchanged.status_code, unchanged.headers["x-seen"]) == (304, "eve")
        assert unchanged.cookies["session"] == "eve"


def test_D5_an_error_that_the_app_answers_with_4xx_is_passed_on() -> None:
    """A revoked right was answered with the old secret for as long as max_stale."""
    svc = ServiceBuilder("shop")
    state = {"revoked": False, "undone": 0}

    class Forbidden(Exception):
        pass

    @svc.exception_handler(Forbidden)
    async def forbidden(request: Request, error: Forbidden) -> JSONResponse:
        return JSONResponse({}, 403)

    async def unit_of_work(x_user: User) -> AsyncIterator[str]:
        try:
            yield x_user
        except Forbidden:
            state["undone"] += 1
            raise

    @svc.get("/secret", cache=10, fallback="aggressive")
    @Intent(vary_on=["user"])
    async def secret(user: Annotated[str, Depends(unit_of_work)]) -> str:
        if state["revoked"]:
            raise Forbidden
        return "secret"

    async def main() -> None:
        async with running(svc) as env:
            client = env.client(svc)
            assert (await client.get("/secret", headers=by("ada"))).status_code == 200
            state["revoked"] = True
            await anyio.sleep(3600)
            assert (await client.get("/secret", headers=by("ada"))).status_code == 403

    run_virtual(main)
    assert state["undone"] == 1


@pytest.mark.parametrize("option", [{"soft_timeout": "1s", "fallback": "aggressive"}, {"eager": 0.5}])
def test_D5_what_cannot_go_on_in_the_background_is_refused(option: dict[str, Any]) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/me", cache=60)
    @Intent(vary_on=["user"], **option)
    async def me(user: Annotated[str, Depends(current)]) -> str:
        return user

    with pytest.raises(InvalidDeclaration, match=r"cannot go on in the background"):
        _ = svc.app


def test_D5_a_handler_that_takes_longer_than_its_timeout_has_failed() -> None:
    svc, hangs = ServiceBuilder("shop"), False

    @svc.get("/me", cache=10)
    @Intent(vary_on=["user"], fallback="aggressive", timeout="2s")
    async def me(user: Annotated[str, Depends(current)]) -> str:
        if hangs:
            await anyio.sleep(500)
        return user

    async def main() -> None:
        nonlocal hangs
        async with running(svc) as env:
            client = env.client(svc)
            await client.get("/me", headers=by("ada"))
            hangs = True
            await anyio.sleep(11)
            began = anyio.current_time()
            assert (await client.get("/me", headers=by("bob"))).status_code == 504
            assert "stale-if-error" in (await client.get("/me", headers=by("ada"))).headers["cache-status"]
            assert anyio.current_time() - began == pytest.approx(4)

    run_virtual(main)


async def test_D5_a_store_that_is_down_takes_no_answer_away(monkeypatch: pytest.MonkeyPatch) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/me", cache=60)
    @Intent(vary_on=["user"])
    async def me(user: Annotated[str, Depends(current)]) -> str:
        return user

    async def down(*_: Any, **__: Any) -> None:
        raise BackendUnavailable("a store", "a test")

    async with running(svc) as env:
        await env.client(svc).get("/me", headers=by("ada"))
        (store,) = env.service(svc).data.stores.all()
        monkeypatch.setattr(store, "get", down)
        answer = await env.client(svc).get("/me", headers=by("ada"))
        assert (answer.json(), answer.headers["cache-status"]) == ("ada", "evox; fwd=miss")


asking: ContextVar[str] = ContextVar("asking")


async def test_D6_a_dependency_that_only_says_yes_counts_by_what_it_reads() -> None:
    svc = ServiceBuilder("shop")

    async def is_known(x_user: User) -> bool:
        asking.set(x_user)
        return True

    @svc.get("/me", cache=60)
    @Intent(vary_on=["known"])
    async def me(known: Annotated[bool, Depends(is_known)]) -> str:
        return asking.get()

    async with running(svc) as env:
        for name in ("ada", "bob", "ada"):
            assert (await env.client(svc).get("/me", headers=by(name))).json() == name


async def test_D6_what_a_dependency_read_before_a_change_is_not_kept_after_it() -> None:
    svc, stock = ServiceBuilder("shop"), {"stock": 1}
    read, go_on = anyio.Event(), anyio.Event()

    async def snapshot(request: Request) -> None:
        request.state.stock = stock["stock"]
        read.set()
        await go_on.wait()

    @svc.get("/stock", cache="1h", dependencies=[Depends(snapshot)])
    @Intent(vary_on=["snapshot", "request"])
    async def get(request: Request) -> int:
        found: int = request.state.stock
        return found

    @svc.put("/stock")
    async def put() -> None:
        stock["stock"] = 2

    async with running(svc) as env, anyio.create_task_group() as group:
        client = env.client(svc)
        group.start_soon(client.get, "/stock")
        await read.wait()
        await client.put("/stock")
        go_on.set()
        await anyio.wait_all_tasks_blocked()
        assert (await client.get("/stock")).json() == 2


async def test_a_guards_refusal_is_heard_though_an_answer_is_kept() -> None:
    svc = ServiceBuilder("shop")

    async def guard(x_user: User) -> bool:
        if x_user == "eve":
            raise HTTPException(403)
        return True

    @svc.get("/open", cache=60)
    @Intent(vary_on=["guard"])
    async def opened(guard: Annotated[bool, Depends(guard)]) -> str:
        return "secret"

    async with running(svc) as env:
        client = env.client(svc)
        assert [(await client.get("/open", headers=by(name))).status_code for name in ("ada", "eve")] == [200, 403]


def test_D5_a_client_in_a_hurry_says_nothing_of_the_source() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/me", cache=10, fallback="aggressive", timeout=5)
    @Intent(vary_on=["user"])
    async def me(user: Annotated[str, Depends(current)]) -> int:
        nonlocal calls
        calls += 1
        await anyio.sleep(1)
        return calls

    async def main() -> None:
        async with running(svc) as env:
            client = env.client(svc)
            assert (await client.get("/me", headers=by("ada"))).json() == 1
            await anyio.sleep(11)
            hurried = await client.get("/me", headers={**by("ada"), "x-evox-deadline": "0.1"})
            assert (hurried.json(), "stale-if-error" in hurried.headers["cache-status"]) == (1, True)
            assert (await client.get("/me", headers=by("ada"))).headers["cache-status"] == "evox; fwd=stale; stored"

    run_virtual(main)
