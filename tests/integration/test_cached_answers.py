"""D4, D6: who gets a kept answer, who does not, and what takes it away."""

import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any

import anyio
import h2.events
import httpx2
import pytest
from examples.advanced_items_svc.service import svc as items
from fastapi import BackgroundTasks, FastAPI
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel, Field, SecretStr
from tests.integration.http2 import connected

from evox import (
    GET,
    Body,
    Controller,
    Cookie,
    Depends,
    Header,
    HTTPException,
    Intent,
    Method,
    Query,
    Request,
    Response,
    Service,
    ServiceBuilder,
    inject,
)
from evox.errors import InvalidDeclaration
from evox.testing import running

KNOWN = {"alice", "bob"}
USERS = {"authorization": "Bearer {}", "x-user": "{}", "cookie": "user={}"}


def headers(name: str) -> dict[str, str]:
    return {key: value.format(name) for key, value in USERS.items()}


async def by_depends(x_user: Annotated[str, Header()]) -> str:
    if x_user not in KNOWN:
        raise HTTPException(401)
    return x_user


async def by_bearer(found: Annotated[Any, Depends(HTTPBearer())]) -> str:
    return await by_depends(found.credentials)


async def by_key(found: Annotated[str, Depends(APIKeyHeader(name="x-user"))]) -> str:
    return await by_depends(found)


def guarded_by(dependency: Callable[..., Any]) -> Callable[..., Any]:
    async def me(user: str = Depends(dependency)) -> dict[str, str]:
        return {"user": user}

    return me


async def by_header(x_user: Annotated[str, Header()]) -> dict[str, str]:
    return {"user": x_user}


async def by_cookie(user: Annotated[str, Cookie()]) -> dict[str, str]:
    return {"user": user}


async def by_request(request: Request) -> dict[str, str]:
    return {"user": request.headers["x-user"]}


asking: ContextVar[str] = ContextVar("asking")


async def noting(request: Request, x_user: Annotated[str, Header()]) -> None:
    request.state.user = x_user


async def by_note(request: Request, _: Annotated[None, Depends(noting)]) -> dict[str, str]:
    return {"user": request.state.user}


async def aside(x_user: Annotated[str, Header()]) -> None:
    asking.set(x_user)


async def below(_: Annotated[None, Depends(aside)]) -> None:
    pass


async def aside_by_cookie(user: Annotated[str, Cookie()]) -> None:
    asking.set(user)


async def aside_by_key(user: Annotated[str, Depends(APIKeyHeader(name="x-user"))]) -> None:
    asking.set(user)


async def aside_by_request(request: Request) -> None:
    asking.set(request.headers["x-user"])


def told_aside(dependency: Callable[..., Any]) -> Callable[..., Any]:
    async def me(_: None = Depends(dependency)) -> dict[str, str]:
        return {"user": asking.get()}

    return me


HEADER, COOKIE = "x-user", "cookie"
WAYS = [
    pytest.param(guarded_by(by_depends), ["user"], HEADER, id="Depends"),
    pytest.param(guarded_by(by_bearer), ["user"], "authorization", id="HTTPBearer"),
    pytest.param(guarded_by(by_key), ["user"], HEADER, id="APIKeyHeader"),
    pytest.param(guarded_by(by_depends), ["by_depends"], HEADER, id="by the dependency's name"),
    pytest.param(by_header, ["x_user"], HEADER, id="Header"),
    pytest.param(by_header, ["x-user"], HEADER, id="Header by its own name"),
    pytest.param(by_cookie, ["user"], COOKIE, id="Cookie"),
    pytest.param(by_request, ["request", "x-user"], HEADER, id="Request"),
    pytest.param(by_request, ["request"], HEADER, id="Request, all of it"),
    pytest.param(by_note, ["request", "noting"], HEADER, id="a note that a dependency leaves on the request"),
    pytest.param(told_aside(aside), ["_"], HEADER, id="a dependency that gives nothing"),
    pytest.param(told_aside(below), ["_"], HEADER, id="one that gives nothing, and has one below it"),
    pytest.param(told_aside(aside_by_cookie), ["_"], COOKIE, id="one that gives nothing and reads a cookie"),
    pytest.param(told_aside(aside_by_key), ["_"], HEADER, id="one that gives nothing and reads an API key"),
    pytest.param(told_aside(aside_by_request), ["_"], HEADER, id="one that gives nothing and reads the request"),
]


@pytest.mark.parametrize(("handler", "named", "told"), WAYS)
async def test_D6_alices_answer_is_given_to_alice_alone(handler: Any, named: list[str], told: str) -> None:
    svc = ServiceBuilder("shop")
    svc.get("/me", cache=60)(Intent(vary_on=named)(wrapped(handler)))
    async with running(svc) as env:
        client = env.client(svc)
        for expected in ("fwd=miss", "hit"):
            for name in ("alice", "bob"):
                answer = await client.get("/me", headers={told: headers(name)[told]})
                assert answer.json() == {"user": name}
                assert expected in answer.headers["cache-status"]


async def test_D6_what_a_guard_of_the_route_reads_tells_clients_apart() -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/me", cache=60, dependencies=[Depends(aside)])
    @Intent(vary_on=["aside"])
    async def me() -> str:
        return asking.get()

    async with running(svc) as env:
        client = env.client(svc)
        for name in ("alice", "bob", "alice"):
            assert (await client.get("/me", headers={"x-user": name})).json() == name


@pytest.mark.parametrize("guard", [False, True])
async def test_D6_a_get_that_brings_a_body_without_saying_so_is_answered_by_its_body(guard: bool) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/search", cache=60, dependencies=[Depends(below)] if guard else [])
    @Intent(vary_on=["below"])
    async def search(query: Annotated[dict[str, str] | None, Body()] = None) -> dict[str, str] | None:
        return query

    async with running(svc, sockets=True, settings={"serving": {"h2c": True}}) as env, connected(env, svc) as peer:
        for body in (b'{"by":"alice"}', b'{"by":"bob"}', b""):
            await peer.get("/search", body, [("x-user", "eve"), ("content-type", "application/json")])
            assert (await peer.next(h2.events.DataReceived)).data == (body or b"null")
            await peer.next(h2.events.StreamEnded)


async def test_D6_a_class_that_is_called_like_one_of_ours_is_a_dependency_like_any_other() -> None:
    svc = ServiceBuilder("shop")

    class Injected:
        async def current(self, x_user: Annotated[str, Header()]) -> str:
            return x_user

    Injected.current.__qualname__ = "Injected.current"
    svc.get("/me", cache=60)(guarded_by(Injected().current))
    with pytest.raises(InvalidDeclaration, match="vary_on"):
        _ = svc.app


@pytest.mark.parametrize(("handler", "named", "told"), WAYS)
def test_D6_an_input_that_is_not_named_is_refused_before_anything_is_served(
    handler: Any, named: list[str], told: str
) -> None:
    del named, told
    svc = ServiceBuilder("shop")
    svc.get("/me", cache=60)(wrapped(handler))
    with pytest.raises(InvalidDeclaration, match="vary_on"):
        _ = svc.app


def wrapped(handler: Any) -> Any:
    """Give each test a handler of its own: a row seals its handler."""
    copy = types.FunctionType(
        handler.__code__, handler.__globals__, handler.__name__, handler.__defaults__, handler.__closure__
    )
    copy.__annotations__ = handler.__annotations__
    copy.__kwdefaults__ = handler.__kwdefaults__
    return copy


async def test_D6_who_is_no_longer_let_in_gets_no_kept_answer() -> None:
    svc = ServiceBuilder("shop")
    revoked: set[str] = set()

    async def guard(x_user: Annotated[str, Header()]) -> str:
        if x_user in revoked:
            raise HTTPException(401)
        return x_user

    @svc.get("/me", cache=60)
    @Intent(vary_on=["user"])
    async def me(user: Annotated[str, Depends(guard)]) -> str:
        return user

    async with running(svc) as env:
        client = env.client(svc)
        assert [(await client.get("/me", headers=headers("alice"))).status_code for _ in range(2)] == [200, 200]
        revoked.add("alice")
        assert (await client.get("/me", headers=headers("alice"))).status_code == 401


@pytest.mark.parametrize("where", ["route", "app"])
async def test_D6_a_guard_of_the_route_or_the_app_runs_for_every_request(where: str) -> None:
    dependencies = [Depends(by_depends)]
    svc = ServiceBuilder("shop", dependencies=dependencies) if where == "app" else ServiceBuilder("shop")
    options: dict[str, Any] = {} if where == "app" else {"dependencies": dependencies}

    @svc.get("/open", cache=60, **options)
    @Intent(vary_on=["by_depends"])
    async def opened() -> str:
        return "secret"

    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/open", headers=headers("alice"))).status_code == 200
        assert (await client.get("/open", headers=headers("mallory"))).status_code == 401


@pytest.mark.parametrize("where", ["route", "app"])
def test_D6_a_guard_of_the_route_or_the_app_has_to_be_named(where: str) -> None:
    dependencies = [Depends(by_depends)]
    svc = ServiceBuilder("shop", dependencies=dependencies) if where == "app" else ServiceBuilder("shop")
    options: dict[str, Any] = {} if where == "app" else {"dependencies": dependencies}
    svc.get("/open", cache=60, **options)(lambda: "secret")
    with pytest.raises(InvalidDeclaration, match="by_depends"):
        _ = svc.app


@pytest.mark.parametrize("adopted", [False, True])
async def test_D6_a_guard_of_a_router_that_a_service_is_included_in_has_to_be_named_too(adopted: bool) -> None:
    """What is above a row where it is included was not looked at, so a hit passed by the guard."""
    inner = ServiceBuilder("inner")

    @inner.get("/open", cache=60)
    async def opened() -> str:
        return "secret"

    outer = Service.from_fastapi(FastAPI(), name="outer") if adopted else ServiceBuilder("outer")
    outer.app.include_router(inner.app.router, prefix="/in", dependencies=[Depends(by_depends)])
    with pytest.raises(InvalidDeclaration, match="by_depends"):
        async with running(outer):
            pytest.fail("it has started")


async def test_D6_an_answer_to_credentials_is_for_those_credentials_even_if_the_endpoint_never_sees_them() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/me", cache=60)
    async def me() -> int:
        nonlocal calls
        calls += 1
        return calls

    async with running(svc) as env:
        client = env.client(svc)
        answers = [(await client.get("/me", headers=headers(name))).json() for name in ("alice", "bob", "alice")]
        assert answers == [1, 2, 1]


class Repository:
    pass


async def test_D6_injection_method_and_the_response_are_no_inputs() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.endpoint("/x", methods=["GET", "PUT"], cache=60)
    async def read(
        method: Method, response: Response, own: Repository = inject(Repository), page: int = Query(1)
    ) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        response.headers["x-page"] = str(page)
        return {"method": method}

    async with running(svc) as env:
        client = env.client(svc)
        replies = [await client.get("/x?page=2") for _ in range(2)]
        assert [reply.headers["x-page"] for reply in replies] == ["2", "2"]
        assert calls == 1
        assert (await client.put("/x")).json() == {"method": "PUT"}


async def _counted(svc: ServiceBuilder, client: httpx2.AsyncClient, path: str = "/x", **options: Any) -> list[Any]:
    return [(await client.get(path, **options)).json() for _ in range(3)]


@pytest.mark.parametrize(
    "header",
    [
        ("set-cookie", "a=b"),
        ("cache-control", "no-store"),
        ("cache-control", "private, max-age=60"),
        ("vary", "*"),
        ("vary", "x-tenant"),
    ],
)
async def test_D6_what_is_for_one_client_alone_is_not_kept(header: tuple[str, str]) -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/x", cache=60)
    async def read(response: Response) -> int:
        nonlocal calls
        calls += 1
        response.headers[header[0]] = header[1]
        return calls

    async with running(svc) as env:
        assert await _counted(svc, env.client(svc)) == [1, 2, 3]


async def test_D6_errors_are_not_kept() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/x", cache=60)
    async def read() -> Any:
        nonlocal calls
        calls += 1
        return {"n": calls}, 404

    async with running(svc) as env:
        assert await _counted(svc, env.client(svc)) == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_D4_five_hundred_at_once_run_the_handler_once_and_the_last_is_served() -> None:
    svc, calls, go = ServiceBuilder("shop"), 0, anyio.Event()

    @svc.get("/x", cache=60)
    async def read() -> int:
        nonlocal calls
        calls += 1
        await go.wait()
        return calls

    async with running(svc) as env:
        client = env.client(svc)
        replies: list[int] = []

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                replies.append((await client.get("/x")).status_code)

        scopes = [anyio.CancelScope() for _ in range(500)]
        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(ask, scope)
            await anyio.wait_all_tasks_blocked()
            for scope in scopes[:499]:
                scope.cancel()
            await anyio.wait_all_tasks_blocked()
            go.set()
        assert (replies, calls) == ([200], 1)
        assert env.service(svc).data.flights.statistics().running == ()


async def test_D4_when_nobody_waits_any_more_the_handler_is_cancelled() -> None:
    svc, ended = ServiceBuilder("shop"), anyio.Event()

    @svc.get("/x", cache=60)
    async def read() -> int:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return 1

    async with running(svc) as env:
        client = env.client(svc)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(client.get, "/x")
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        with anyio.fail_after(5):
            await ended.wait()
        assert env.service(svc).scheduler.statistics().in_use == 0


async def test_D5_a_hit_takes_no_seat() -> None:
    svc = ServiceBuilder("shop").concurrency(total=1, queue=0)
    release = anyio.Event()

    @svc.get("/x", cache=60)
    async def read() -> int:
        return 1

    @svc.get("/slow")
    async def slow() -> None:
        await release.wait()

    async with running(svc) as env:
        client = env.client(svc)
        await client.get("/x")
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, "/slow")
            await anyio.wait_all_tasks_blocked()
            assert (await client.get("/x")).headers["cache-status"].startswith("evox; hit")
            release.set()


async def test_D6_after_every_write_the_next_list_shows_it() -> None:
    async with running(items) as env:
        client = env.client(items)

        async def names() -> list[str]:
            first, again = await client.get("/v1/items"), await client.get("/v1/items/")
            assert first.json() == again.json()
            return [item["name"] for item in first.json()]

        assert await names() == ["Lamp", "Kettle"]
        chair = {"name": "Chair", "price": 60, "category": "home"}
        made = (await client.post("/v1/items", json=chair)).json()
        assert await names() == ["Lamp", "Kettle", "Chair"]
        path = f"/v1/items/{made['id']}"
        assert (await client.get(path)).json()["price"] == 60
        await client.patch(path, json={"price": 45})
        assert (await client.get(path)).json()["price"] == 45
        await client.put(path, json=chair | {"name": "Stool"})
        assert await names() == ["Lamp", "Kettle", "Stool"]
        await client.delete(path)
        assert await names() == ["Lamp", "Kettle"]
        assert (await client.get(path)).status_code == 404


async def test_D6_a_write_takes_the_answers_of_its_path_and_of_the_collection_and_no_others() -> None:
    svc, calls = ServiceBuilder("shop"), {"/things": 0, "/things/1": 0, "/other": 0}

    for path in calls:
        svc.get(path, cache=60)(counting(calls, path))

    @svc.put("/things/{number}")
    async def write(number: int, ok: bool = Body(embed=True)) -> Any:
        return {"number": number}, 200 if ok else 409

    async with running(svc) as env:
        client = env.client(svc)

        async def look() -> list[int]:
            return [(await client.get(path)).json() for path in calls]

        assert await look() == [1, 1, 1]
        await client.put("/things/1", json={"ok": False})
        assert await look() == [1, 1, 1]
        await client.put("/things/1", json={"ok": True})
        assert await look() == [2, 2, 1]


def counting(calls: dict[str, int], path: str) -> Callable[[], Any]:
    async def read() -> int:
        calls[path] += 1
        return calls[path]

    return read


async def test_a_controller_made_by_injection_may_be_cached() -> None:
    @Controller("/things")
    @Intent(cacheable=True)
    class Things:
        def __init__(self, own: Repository) -> None:
            self.calls = 0

        @GET("/")
        async def read(self) -> int:
            self.calls += 1
            return self.calls

    svc = ServiceBuilder("shop").register_controller(Things)
    async with running(svc) as env:
        assert await _counted(svc, env.client(svc), "/things") == [1, 1, 1]


async def test_D6_users_who_differ_in_a_secret_or_a_hidden_field_alone_are_two() -> None:
    class Caller(BaseModel):
        name: str = "somebody"
        id: int = Field(exclude=True)
        token: SecretStr

    async def caller(x_id: Annotated[int, Header()], x_token: Annotated[str, Header()]) -> Caller:
        return Caller(id=x_id, token=SecretStr(x_token))

    svc = ServiceBuilder("shop")

    @Intent(ttl="1h", vary_on=["who"])
    @svc.get("/me")
    async def me(who: Annotated[Caller, Depends(caller)]) -> str:
        return f"{who.id} {who.token.get_secret_value()}"

    async with running(svc) as env:
        client = env.client("shop")
        for _ in range(2):
            for number, token in ((1, "a"), (1, "b"), (2, "a")):
                answer = await client.get("/me", headers={"x-id": str(number), "x-token": token})
                assert answer.json() == f"{number} {token}"


async def test_D6_a_result_that_tells_nobody_from_anybody_is_refused() -> None:
    svc = ServiceBuilder("shop")

    @Intent(ttl="1h", vary_on=["who"])
    @svc.get("/me")
    async def me(who: Annotated[object, Depends(object)]) -> str:
        return str(who)

    async with running(svc) as env:
        assert (await env.client("shop").get("/me")).status_code == 500


class Headers(BaseModel):
    x_user: str


class Cookies(BaseModel):
    session: str


async def by_header_model(who: Annotated[Headers, Header()]) -> str:
    return who.x_user


async def by_cookie_model(who: Annotated[Cookies, Cookie()]) -> str:
    return who.session


async def by_another_name(who: Annotated[str, Header(validation_alias="x-user")]) -> str:
    return who


@pytest.mark.parametrize("handler", [by_header_model, by_cookie_model, by_another_name])
async def test_D6_a_model_of_headers_or_cookies_counts_with_all_that_it_holds(handler: Any) -> None:
    svc = ServiceBuilder("shop")
    own = types.FunctionType(handler.__code__, handler.__globals__)  # an endpoint belongs to one service
    own.__annotations__ = dict(handler.__annotations__)
    Intent(ttl="1h", vary_on=["who"])(svc.get("/me")(own))
    async with running(svc) as env:
        for _ in range(2):
            for who in ("alice", "bob"):
                headers = {"x-user": who, "cookie": f"session={who}"}
                assert (await env.client("shop").get("/me", headers=headers)).json() == who


async def test_D6_what_is_quoted_in_a_path_and_a_slash_at_its_end_count() -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/f/{name:path}", cache="1h")
    async def file(name: str, page: int = 1) -> str:
        return f"{name} {page}"

    async with running(svc) as env:
        client = env.client("shop")
        for _ in range(2):
            for path, answer in (
                ("/f/a%3Fpage=2", "a?page=2 1"),
                ("/f/a?page=2", "a 2"),
                ("/f/a", "a 1"),
                ("/f/a/", "a/ 1"),
                ("/f/a%20b", "a b 1"),
            ):
                assert (await client.get(path)).json() == answer


async def test_D5_a_write_ends_the_time_for_which_a_source_is_left_alone() -> None:
    svc = ServiceBuilder("shop")
    state = {"broken": False, "version": 1}

    @svc.get("/x", cache=0.001, fallback="aggressive")
    async def read() -> int:
        if state["broken"]:
            raise HTTPException(503)
        return state["version"]

    @svc.put("/x")
    async def write() -> None:
        state.update(broken=False, version=2)

    async with running(svc) as env:
        client = env.client("shop")
        assert (await client.get("/x")).json() == 1
        state["broken"] = True
        await anyio.sleep(0.01)
        assert "stale-if-error" in (await client.get("/x")).headers["cache-status"]
        assert (await client.put("/x")).status_code == 200
        answer = await client.get("/x")
        assert (answer.status_code, answer.json()) == (200, 2)


async def test_tasks_after_an_answer_run_even_when_nobody_waited_for_it() -> None:
    svc = ServiceBuilder("shop")
    ran = anyio.Event()
    go = anyio.Event()

    async def follow() -> None:
        ran.set()

    @svc.get("/x", cache="1h", on_disconnect="finish")
    async def read(after: BackgroundTasks) -> int:
        after.add_task(follow)
        await go.wait()
        return 1

    async with running(svc) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(env.client("shop").get, "/x")
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        go.set()
        with anyio.fail_after(5):
            await ran.wait()
