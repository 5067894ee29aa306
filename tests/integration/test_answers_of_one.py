"""D5, D6: answers and failures that are for one client alone, although others ask the same at the same time."""

from typing import Any

import anyio
import pytest
from tests.lanes import running

from evox import HTTPException, Intent, Request, Response, ServiceBuilder
from evox.testing import run_virtual


class Handler:
    """Gives each caller an answer with a cookie of his own, once it is let."""

    def __init__(self, status: int, headers: dict[str, str], *, raises: bool) -> None:
        self.status, self.headers, self.raises = status, headers, raises
        self.calls = 0
        self.go = anyio.Event()

    async def __call__(self) -> Response:
        self.calls += 1
        mine = {name: value.format(self.calls) for name, value in self.headers.items()}
        await self.go.wait()
        if self.raises:
            raise HTTPException(self.status, headers=mine)
        return Response(f"of {self.calls}", self.status, mine)


COOKIE = {"set-cookie": "sid={}"}


async def asked_by_three(handler: Handler, **options: Any) -> list[Any]:
    svc = ServiceBuilder("shop")
    svc.get("/x", cache=60, **options)(handler.__call__)
    found: list[Any] = []
    async with running(svc) as env, anyio.create_task_group() as group:

        async def ask() -> None:
            client = env.client(svc)
            found.append(await client.get("/x"))

        for _ in range(3):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        handler.go.set()
    return found


@pytest.mark.parametrize("raises", [False, True])
async def test_D6_a_cookie_of_a_failure_goes_to_one_client_and_the_source_is_asked_once(raises: bool) -> None:
    handler = Handler(503, COOKIE, raises=raises)
    answers = await asked_by_three(handler)
    assert [answer.status_code for answer in answers] == [503] * 3
    assert sum("set-cookie" in answer.headers for answer in answers) == 1
    assert handler.calls == 1


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("status", [200, 401])
async def test_D6_each_gets_a_cookie_of_his_own(status: int, raises: bool) -> None:
    answers = await asked_by_three(Handler(status, COOKIE, raises=raises))
    assert {answer.headers["set-cookie"] for answer in answers} == {"sid=1", "sid=2", "sid=3"}


async def test_D6_a_failure_that_says_nothing_of_a_client_is_given_to_all() -> None:
    handler = Handler(503, {"x-reason": "maintenance"}, raises=False)
    answers = await asked_by_three(handler)
    assert [answer.headers["x-reason"] for answer in answers] == ["maintenance"] * 3
    assert handler.calls == 1


async def test_a_handler_whose_answer_is_not_kept_runs_once_for_each_request() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/x", cache=60)
    async def read(response: Response) -> str:
        nonlocal calls
        calls += 1
        response.headers["cache-control"] = "no-store"
        return "x"

    async with running(svc) as env:
        for asked in range(1, 4):
            assert (await env.client(svc).get("/x")).json() == "x"
            assert calls == asked


def test_D5_an_answer_for_one_client_takes_nobody_the_old_one_when_the_source_fails() -> None:
    svc = ServiceBuilder("shop")
    state = {"mood": "well"}

    @svc.get("/x", cache=10, fallback="aggressive")
    async def read(response: Response) -> str:
        if state["mood"] == "down":
            raise ConnectionError("down")
        if state["mood"] == "personal":
            response.set_cookie("a", "b")
        return state["mood"]

    async def main() -> None:
        async with running(svc) as env:
            client = env.client(svc)
            seen = []
            for mood in ("well", "personal", "down", "down", "well"):
                state["mood"] = mood
                seen.append((await client.get("/x")).text.strip('"'))
                await anyio.sleep(11)
            assert seen == ["well", "personal", "well", "well", "well"]

    run_virtual(main)


def test_D5_a_client_in_a_hurry_says_nothing_of_the_source() -> None:
    """One with a deadline of a tenth of a second kept everybody on the old answer, for as long as it went on asking."""
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/x", cache=10, fallback="aggressive")
    async def read() -> int:
        nonlocal calls
        calls += 1
        await anyio.sleep(1)
        return calls

    async def main() -> None:
        async with running(svc) as env:
            client = env.client(svc)
            assert (await client.get("/x")).json() == 1
            await anyio.sleep(11)
            hurried = await client.get("/x", headers={"x-evox-deadline": "0.1"})
            assert (hurried.json(), "stale-if-error" in hurried.headers["cache-status"]) == (1, True)
            assert (await client.get("/x")).headers["cache-status"] == "evox; fwd=stale; stored"

    run_virtual(main)


def test_D4_who_waits_with_a_client_in_a_hurry_is_served_when_that_has_left() -> None:
    svc, calls = ServiceBuilder("shop"), 0

    @svc.get("/x", cache=10)
    async def read() -> int:
        nonlocal calls
        calls += 1
        await anyio.sleep(1)
        return calls

    async def main() -> None:
        async with running(svc) as env, anyio.create_task_group() as group:
            client = env.client(svc)
            statuses: list[int] = []

            async def hurried() -> None:
                statuses.append((await client.get("/x", headers={"x-evox-deadline": "0.1"})).status_code)

            group.start_soon(hurried)
            await anyio.sleep(0.05)
            assert (await client.get("/x")).json() == 1
            assert statuses == [504]

    run_virtual(main)


@pytest.mark.usefixtures("http1")
@pytest.mark.parametrize("path", ["/files/a%2Fb", "/files/a/b"])
async def test_D6_a_quoted_slash_is_another_path(path: str) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/files/{name:path}", cache=60)
    @Intent(vary_on=["request"])
    async def read(request: Request, name: str) -> str:
        return str(request.scope["raw_path"], "ascii")

    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        for one in ("/files/a/b", "/files/a%2Fb", path):
            assert (await client.get(one)).json() == one


async def test_D6_a_cookie_that_is_named_beside_the_request_counts() -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/me", cache=60)
    @Intent(vary_on=["request", "session"])
    async def me(request: Request) -> str | None:
        return request.cookies.get("session")

    async with running(svc) as env:
        for name in ("ada", "bob", "ada"):
            assert (await env.client(svc).get("/me", headers={"cookie": f"session={name}"})).json() == name
