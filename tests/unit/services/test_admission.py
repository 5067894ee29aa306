"""Admission of requests: who is next, what a rejected client is told, and what is never queued."""

from typing import Any

import anyio
import httpx2
import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from evox import GET, Controller, Request, Response, Service, ServiceBuilder, service
from evox.errors import Overloaded
from evox.testing import Env, running


class Stage:
    """Handlers that note that they were called and wait until they are let go."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.go = anyio.Event()

    async def enter(self, name: str) -> str:
        self.entered.append(name)
        await self.go.wait()
        return name


def with_levels(builder: ServiceBuilder) -> Stage:
    stage = Stage()
    for level in ("high", "medium", "low"):

        async def wait(name: str) -> str:
            return await stage.enter(name)

        builder.get(f"/{level}/{{name}}", priority=level, name=level)(wait)
    return stage


class Clients:
    """Requests sent one after the other, each waiting for its answer in a task of its own."""

    def __init__(self, env: Env, svc: Service, group: Any) -> None:
        self.client = env.client(svc)
        self.group = group
        self.answers: dict[str, httpx2.Response] = {}

    async def send(self, *paths: str, method: str = "GET") -> None:
        for path in paths:
            self.group.start_soon(self._send, method, path)
            await anyio.wait_all_tasks_blocked()

    async def _send(self, method: str, path: str) -> None:
        self.answers[path] = await self.client.request(method, path)


async def test_P3_P4_those_who_wait_are_admitted_by_level_and_then_in_their_order() -> None:
    svc = service("a").concurrency(total=1)
    stage = with_levels(svc)
    async with running(svc) as env, anyio.create_task_group() as group:
        clients = Clients(env, svc, group)
        await clients.send("/low/1", "/low/2", "/medium/3", "/high/4", "/medium/5", "/high/6")
        assert stage.entered == ["1"]
        stage.go.set()
    assert stage.entered == ["1", "4", "6", "3", "5", "2"]


async def test_a_method_overrides_the_level_of_its_controller() -> None:
    svc = service("a")

    @svc.register_controller
    @Controller("/items", priority="low")
    class Items:
        @GET("/slow")
        def slow(self) -> None: ...

        @GET("/quick", priority="high")
        def quick(self) -> None: ...

    async with running(svc) as env:
        client = env.client(svc)
        await client.get("/items/slow")
        await client.get("/items/quick")
        await client.get("/items/quick")
        counts = [one.admitted for one in env.service(svc).scheduler.statistics().levels]
    assert counts == [2, 0, 1]


async def test_P7_one_more_than_may_wait_is_told_which_level_why_and_when_to_come_back() -> None:
    svc = service("a").concurrency(total=1, queue={"low": 1})
    stage = with_levels(svc)
    async with running(svc) as env, anyio.create_task_group() as group:
        clients = Clients(env, svc, group)
        await clients.send("/low/1", "/low/2", "/low/3")
        answer = clients.answers["/low/3"]
        stage.go.set()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    body = answer.json()
    assert body.pop("request_id")
    assert body == {
        "type": "urn:evox:error:EVX-603",
        "title": "Overloaded",
        "status": 503,
        "level": "low",
        "reason": "queue_full",
        "detail": "too many requests of level 'low' (queue_full)",
    }


async def test_P7_a_client_with_as_many_requests_as_it_may_gets_429_until_one_is_answered() -> None:
    svc = service("a").concurrency(total=5, low=1, per_client=2)
    stage = with_levels(svc)
    async with running(svc) as env, anyio.create_task_group() as group:
        clients = Clients(env, svc, group)
        await clients.send("/low/1", "/low/2", "/high/3")  # one runs, one waits, and that is as many as it may
        answer = clients.answers["/high/3"]
        stage.go.set()
        await anyio.wait_all_tasks_blocked()
        await clients.send("/high/4")
    assert (answer.status_code, answer.json()["reason"], answer.json()["level"]) == (429, "per_client", "high")
    assert answer.headers["retry-after"] == "1"
    assert clients.answers["/high/4"].status_code == 200


async def test_a_handler_of_the_users_own_says_what_a_rejected_client_gets() -> None:
    svc = service("a").concurrency(total=1, queue=0)
    stage = with_levels(svc)

    @svc.exception_handler(Overloaded)
    async def busy(request: Request, error: Overloaded) -> Response:
        return Response(f"come back later, {error.level}", 503)

    async with running(svc) as env, anyio.create_task_group() as group:
        clients = Clients(env, svc, group)
        await clients.send("/low/1", "/high/2")
        stage.go.set()
    assert clients.answers["/high/2"].text == "come back later, high"


async def test_P14_health_is_answered_while_every_seat_is_taken_and_every_queue_is_full() -> None:
    svc = service("a").health("/status").concurrency(total=1, queue=0)
    stage = with_levels(svc)
    async with running(svc) as env, anyio.create_task_group() as group:
        clients = Clients(env, svc, group)
        await clients.send("/high/1", "/high/2", "/status", "/status/ready", "/status/live", "/status/startup")
        stage.go.set()
    assert {path: one.status_code for path, one in clients.answers.items()} == {
        "/high/1": 200,
        "/high/2": 503,
        **dict.fromkeys(["/status", "/status/ready", "/status/live", "/status/startup"], 200),
    }


async def test_services_share_the_seats_of_their_process_unless_they_have_their_own() -> None:
    first, second, own = service("first"), service("second"), service("own").concurrency(total=1)
    stages = [with_levels(one) for one in (first, second, own)]
    shared = {"priority": {"total": 1}}
    async with running(first, second, own, settings=shared) as env, anyio.create_task_group() as group:
        for svc in (first, second, own):
            await Clients(env, svc, group).send("/high/1")
        assert [stage.entered for stage in stages] == [["1"], [], ["1"]]
        for stage in stages:
            stage.go.set()
    assert stages[1].entered == ["1"]


async def test_P11_a_client_cannot_choose_its_level() -> None:
    svc = service("a")
    with_levels(svc).go.set()
    async with running(svc) as env:
        await env.client(svc).get("/low/1", headers={"x-evox-priority": "high"})
        assert env.service(svc).scheduler.statistics().level("low").admitted == 1


async def test_what_is_added_to_an_existing_app_is_admitted_and_its_own_endpoints_are_left_alone() -> None:
    app = FastAPI()

    @app.get("/own")
    async def own() -> str:
        return "own"

    svc = ServiceBuilder.from_fastapi(app, name="a").concurrency(total=1, queue=0)
    stage = with_levels(svc)
    async with running(svc) as env, anyio.create_task_group() as group:
        clients = Clients(env, svc, group)
        await clients.send("/high/1", "/high/2", "/own", "/health")
        stage.go.set()
    statuses = {path: one.status_code for path, one in clients.answers.items()}
    assert statuses == {"/high/1": 200, "/high/2": 503, "/own": 200, "/health": 200}
    assert clients.answers["/high/2"].json()["reason"] == "queue_full"


async def test_P6_a_seat_is_free_again_however_a_request_ends() -> None:
    svc = service("a").concurrency(total=1, queue=0)

    def broken() -> None:
        raise ValueError("in a dependency")

    @svc.get("/error")
    async def error() -> None:
        raise ValueError("in the handler")

    @svc.post("/body")
    async def body(value: dict[str, int]) -> None: ...

    @svc.get("/dependency", dependencies=[Depends(broken)])
    async def dependency() -> None: ...

    async with running(svc, raise_errors=False) as env:
        client = env.client(svc)
        statuses = [
            (await client.get("/error")).status_code,
            (await client.get("/dependency")).status_code,
            (await client.post("/body", json="no")).status_code,
            (await client.post("/body", content=b"{", headers={"content-type": "application/json"})).status_code,
        ]
        seen = env.service(svc).scheduler.statistics()
    assert statuses == [500, 500, 422, 422]
    assert (seen.in_use, sum(one.admitted for one in seen.levels)) == (0, 4)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_app_under_a_test_client_admits_too_and_the_loops_may_take_turns(kind: str) -> None:
    svc = service("a").concurrency(total=1, queue=0)

    def sync() -> str:
        return "sync"

    async def waiting() -> str:
        return "async"

    svc.get("/x")(sync if kind == "sync" else waiting)
    for backend in ("asyncio", "trio", "asyncio"):
        assert TestClient(svc.app, backend=backend).get("/x").json() == kind
        with TestClient(svc.app, backend=backend) as client:
            assert client.get("/x").json() == kind
