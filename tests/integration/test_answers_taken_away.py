"""D6: a request that may have changed something takes kept answers away, however it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from tests.lanes import running

from evox import Depends, HTTPException, Intent, Request, Response, Service, ServiceBuilder
from evox.errors import DataError

Handler = Callable[["Stock"], Awaitable[Any]]


class Stock:
    """What is read by GET and changed by PUT."""

    def __init__(self) -> None:
        self.number = 1
        self.go = anyio.Event()


async def is_out_of_time(stock: Stock) -> None:
    stock.number = 2
    await anyio.sleep(60)


async def fails(stock: Stock) -> None:
    stock.number = 2
    raise OSError("the disk is full")


async def says_that_it_fails(stock: Stock) -> Any:
    stock.number = 2
    return Response(status_code=503)


async def raises_a_status(stock: Stock) -> None:
    stock.number = 2
    raise HTTPException(502)


async def is_wrong(stock: Stock) -> None:
    stock.number = 2  # nobody may do that and then say that the request was wrong; here it shows what is kept
    raise HTTPException(409)


def service_of(stock: Stock, change: Handler) -> Any:
    svc = ServiceBuilder("shop")

    @svc.get("/stock", cache="1h")
    async def read() -> int:
        return stock.number

    @svc.put("/stock", timeout=1)
    async def write() -> Any:
        return await change(stock)

    return svc


@pytest.mark.parametrize("change", [is_out_of_time, fails, says_that_it_fails, raises_a_status])
async def test_D6_what_failed_after_it_began_may_have_changed_something(change: Handler) -> None:
    svc = service_of(Stock(), change)
    async with running(svc, raise_errors=False) as env:
        client = env.client(svc)
        assert (await client.get("/stock")).json() == 1
        assert (await client.put("/stock")).status_code >= 500
        assert (await client.get("/stock")).json() == 2


async def test_D6_a_request_that_was_wrong_takes_nothing_away() -> None:
    svc = service_of(Stock(), is_wrong)
    async with running(svc) as env:
        client = env.client(svc)
        await client.get("/stock")
        assert (await client.put("/stock")).status_code == 409
        assert (await client.get("/stock")).headers["cache-status"].startswith("evox; hit")


async def test_D6_a_request_that_was_turned_away_before_it_began_takes_nothing_away() -> None:
    stock = Stock()
    svc = service_of(stock, lambda stock: stock.go.wait())
    settings = {"priority": {"medium": 1, "queue": 0}}
    async with running(svc, settings=settings) as env, anyio.create_task_group() as group:
        client = env.client(svc)
        await client.get("/stock")
        group.start_soon(client.put, "/stock")
        await anyio.wait_all_tasks_blocked()
        assert (await client.put("/stock")).status_code == 503
        assert (await client.get("/stock")).headers["cache-status"].startswith("evox; hit")
        stock.go.set()


async def test_D6_a_stream_changes_things_until_it_ends() -> None:
    stock, svc = Stock(), ServiceBuilder("shop")

    @svc.get("/stock", cache="1h")
    async def read() -> int:
        return stock.number

    @svc.post("/stock")
    async def write() -> AsyncIterator[str]:
        yield "begun"
        await stock.go.wait()
        stock.number = 2
        yield "done"

    async with running(svc) as env:
        client = env.client(svc)
        async with client.stream("POST", "/stock") as answer:
            lines = answer.aiter_text()
            await anext(lines)
            assert (await client.get("/stock")).json() == 1
            stock.go.set()
            async for _ in lines:
                pass
        assert (await client.get("/stock")).json() == 2


@pytest.mark.usefixtures("http1")
async def test_D6_a_client_that_leaves_a_change_takes_kept_answers_away_all_the_same() -> None:
    stock, svc = Stock(), ServiceBuilder("shop")

    @svc.get("/stock", cache="1h")
    async def read() -> int:
        return stock.number

    @svc.put("/stock", on_disconnect="cancel")
    async def write() -> None:
        stock.number = 2
        await anyio.sleep_forever()

    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        assert (await client.get("/stock")).json() == 1
        async with anyio.create_task_group() as group:
            group.start_soon(client.put, "/stock")
            while stock.number == 1:  # noqa: ASYNC110  the handler's side has no event in common with the client's
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            while (await client.get("/stock")).json() == 1:  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)


async def test_D6_a_change_is_answered_even_when_nothing_can_be_taken_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def unavailable(*_: Any) -> None:
        raise DataError("it does not answer", why="a test", fix="none")

    def not_at_once(*_: Any) -> bool:
        raise DataError("it does not answer", why="a test", fix="none")

    async def changes(stock: Stock) -> int:
        stock.number = 2
        return stock.number

    svc = service_of(Stock(), changes)
    async with running(svc) as env:
        client = env.client(svc)
        monkeypatch.setattr(env.service(svc).data, "invalidate_tags", unavailable)
        monkeypatch.setattr(env.service(svc).data.stores, "remove_tags", not_at_once)
        assert (await client.put("/stock")).json() == 2
    assert "may be old for up to their ttl" in caplog.text


def keeping(path: str, stock: Stock) -> ServiceBuilder:
    """Return a service that keeps the answer of one path."""
    svc = ServiceBuilder("shop")

    @svc.get(path, cache="1h")
    async def read() -> int:
        return stock.number

    return svc


async def test_D6_the_collection_at_the_root_is_above_what_lies_in_it() -> None:
    stock = Stock()
    svc = keeping("/", stock)

    @svc.put("/{number}")
    async def write(number: int) -> None:
        stock.number = number

    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/")).json() == 1
        await client.put("/2")
        assert (await client.get("/")).json() == 2


async def test_D6_what_a_dependency_commits_after_the_answer_takes_what_was_read_in_between_away() -> None:
    stock, ending = Stock(), anyio.Event()
    svc = keeping("/stock", stock)

    async def unit_of_work() -> AsyncIterator[list[int]]:
        numbers: list[int] = []
        yield numbers
        ending.set()
        await stock.go.wait()
        stock.number = numbers[0]

    @svc.put("/stock")
    async def write(work: Annotated[list[int], Depends(unit_of_work)]) -> None:
        work.append(2)

    await read_in_between(svc, stock, ending)


async def test_D6_what_a_background_task_does_takes_what_was_read_in_between_away() -> None:
    stock, ending = Stock(), anyio.Event()
    svc = keeping("/stock", stock)

    async def later() -> None:
        ending.set()
        await stock.go.wait()
        stock.number = 2

    @svc.put("/stock")
    async def write(tasks: BackgroundTasks) -> None:
        tasks.add_task(later)

    await read_in_between(svc, stock, ending)


async def read_in_between(svc: Any, stock: Stock, ending: anyio.Event) -> None:
    async with running(svc) as env:
        client = env.client(svc)
        async with anyio.create_task_group() as group:
            group.start_soon(client.put, "/stock")
            await ending.wait()
            assert [(await client.get("/stock")).json() for _ in range(2)] == [1, 1]
            stock.go.set()
        assert (await client.get("/stock")).json() == 2


async def plain_write(request: Request) -> Response:
    request.app.state.stock.number = 2
    return Response()


def in_a_router(svc: Any) -> None:
    router = APIRouter()
    router.add_api_route("/stock", plain_write, methods=["PUT"])
    svc.include_router(router)


def as_a_raw_route(svc: Any) -> None:
    svc.app.add_route("/stock", plain_write, methods=["PUT"])


@pytest.mark.parametrize("add", [in_a_router, as_a_raw_route])
async def test_D6_a_write_by_a_route_that_is_not_ours_counts_too(add: Callable[[Any], None]) -> None:
    stock = Stock()
    svc = keeping("/stock", stock)
    add(svc)
    svc.app.state.stock = stock
    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/stock")).json() == 1
        assert (await client.put("/stock")).status_code == 200
        assert (await client.get("/stock")).json() == 2


async def test_D6_a_write_by_an_existing_apps_own_endpoint_counts_too() -> None:
    app = FastAPI()
    app.add_api_route("/stock", plain_write, methods=["PUT"])
    stock = app.state.stock = Stock()
    svc = Service.from_fastapi(app, name="legacy")

    @svc.get("/stock", cache="1h")
    async def read() -> int:
        return stock.number

    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/stock")).json() == 1
        assert (await client.put("/stock")).status_code == 200
        assert (await client.get("/stock")).json() == 2


async def test_D6_answers_in_a_store_that_this_process_has_not_used_yet_are_taken_away_too(tmp_path: Path) -> None:
    """A worker that had answered no GET yet left the answers of others as they were."""
    stock = Stock()
    url = f"sqlite:///{tmp_path}/answers.db"

    def worker() -> ServiceBuilder:
        svc = ServiceBuilder("shop")

        @svc.get("/stock", cache="1h")
        @Intent(backend=url)
        async def read() -> int:
            return stock.number

        @svc.put("/stock")
        async def write() -> None:
            stock.number = 2

        return svc

    first, second = worker(), worker()
    async with running(first, root=tmp_path) as one:
        assert (await one.client(first).get("/stock")).json() == 1
    async with running(second, root=tmp_path) as other:
        await other.client(second).put("/stock")
        assert (await other.client(second).get("/stock")).json() == 2
