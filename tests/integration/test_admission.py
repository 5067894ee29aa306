"""Admission over real sockets: clients that leave while they wait, bodies that come slowly, and drains and crashes."""

from typing import Any

import anyio
import pytest
from fastapi import UploadFile
from tests.integration.leaving import SOON, WAYS, Caller, Caller2, until
from tests.lanes import ONE_WAY, running

from evox import Request, Service, service
from evox.scheduling import LevelStatistics, Priority, Seat
from evox.testing import Env

pytestmark = pytest.mark.usefixtures("http1")


def medium(env: Env, svc: Service) -> LevelStatistics:
    return env.service(svc).scheduler.statistics().level("medium")


def take(env: Env, svc: Service) -> Seat:
    """Take a seat as a request would, so that the next one waits."""
    seat = env.service(svc).scheduler.enter(Priority.MEDIUM)
    assert seat.live
    return seat


def balanced(one: LevelStatistics) -> bool:
    return one.arrived == one.admitted + one.cancelled + one.queued + sum(one.rejected.values())


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_V6_a_client_that_leaves_while_it_waits_frees_its_place_and_is_never_served(
    method: str, how: str
) -> None:
    svc, called = service("a").concurrency(total=1), list[str]()

    @svc.endpoint("/x", methods=["GET", "POST", "DELETE"])
    async def x() -> None:
        called.append(method)

    async with running(svc, sockets=True) as env:
        held = take(env, svc)
        with Caller(env.url("a")) as caller:
            caller.ask("/x", method)
            await until(lambda: medium(env, svc).queued == 1)
            caller.leave(how)
            await until(lambda: medium(env, svc).queued == 0)
        held.release()
        seen = medium(env, svc)
    assert (called, seen.cancelled, seen.in_use, balanced(seen)) == ([], 1, 0, True)


@ONE_WAY
async def test_V6_a_stream_reset_while_it_waits_frees_its_place_over_http2() -> None:
    svc, called = service("a").concurrency(total=1), list[int]()

    @svc.get("/x")
    async def x() -> None:
        called.append(1)

    async with running(svc, sockets=True, settings={"serving": {"h2c": True}}) as env:
        held = take(env, svc)
        with Caller2(env.url("a")) as caller:
            stream = caller.begin("/x")
            await until(lambda: medium(env, svc).queued == 1)
            caller.reset(stream)
            await until(lambda: medium(env, svc).queued == 0)
            held.release()
            other = caller.begin("/x")
            await caller.ended(other)
    assert called == [1]


async def test_V6_a_write_that_has_begun_is_finished_though_its_client_left_after_waiting() -> None:
    svc, entered, go, finished = service("a").concurrency(total=1), anyio.Event(), anyio.Event(), anyio.Event()

    @svc.post("/x")
    async def x() -> None:
        entered.set()
        await go.wait()
        finished.set()

    async with running(svc, sockets=True) as env:
        held = take(env, svc)
        with Caller(env.url("a")) as caller:
            caller.ask("/x", "POST")
            await until(lambda: medium(env, svc).queued == 1)
            held.release()
            await entered.wait()
            caller.leave("fin")
            await until(lambda: env.host("a").inflight.statistics().requests == 1)
            go.set()
            with anyio.fail_after(SOON):
                await finished.wait()
        await until(lambda: medium(env, svc).in_use == 0)
        assert medium(env, svc).in_use == 0


async def test_P5_P13_a_thousand_clients_that_leave_while_they_wait_or_are_served_leave_nothing_behind() -> None:
    svc, ended = service("a").concurrency(total=10, medium=10), list[int]()

    @svc.get("/wait/{number}")
    async def wait(number: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    async with running(svc, sockets=True) as env:
        await until(lambda: env.port("a").statistics().connections == 0)
        tasks = len(anyio.get_running_tasks())
        for batch in range(20):
            clients = [Caller(env.url("a")) for _ in range(50)]
            for number, client in enumerate(clients):
                client.ask(f"/wait/{number}")
            await until(lambda batch=batch: medium(env, svc).arrived == 50 * (batch + 1))  # type: ignore[misc]
            for number, client in enumerate(clients):
                client.leave(WAYS[number % 2])
            await until(lambda: medium(env, svc).queued == medium(env, svc).in_use == 0)
        await until(lambda: len(anyio.get_running_tasks()) <= tasks, 2.0)
        seen = medium(env, svc)
        assert len(anyio.get_running_tasks()) <= tasks
    assert (seen.arrived, seen.queued, seen.in_use) == (1000, 0, 0)
    assert seen.admitted + seen.cancelled == 1000
    assert len(ended) <= seen.admitted


async def test_a_body_that_comes_slowly_holds_no_seat() -> None:
    svc = service("a").concurrency(total=1, queue=0)

    @svc.post("/body")
    async def body(value: dict[str, int]) -> int:
        return value["a"]

    @svc.get("/x")
    async def x() -> str:
        return "x"

    async with running(svc, sockets=True) as env:
        with Caller(env.url("a")) as slow, Caller(env.url("a")) as quick:
            head = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
            slow.socket.sendall(head.encode() + b'{"a"')
            await until(lambda: env.host("a").inflight.statistics().requests == 1)
            quick.ask("/x")
            assert b" 200 " in await quick.answer()
            assert medium(env, svc).arrived == 1
            slow.socket.sendall(b": 7}")
            assert (await slow.answer()).endswith(b"7")


async def test_P7_a_full_queue_turns_a_request_away_before_its_body_has_come() -> None:
    svc = service("a").concurrency(total=1, queue=0)

    @svc.post("/body")
    async def body(value: dict[str, int]) -> None: ...

    async with running(svc, sockets=True) as env:
        held = take(env, svc)
        with Caller(env.url("a")) as caller:
            head = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 8000\r\n\r\n"
            caller.socket.sendall(head.encode())
            answer = await caller.answer()
        held.release()
        assert balanced(medium(env, svc))
    assert b" 503 " in answer
    assert b"queue_full" in answer


async def test_bodies_of_every_kind_arrive_as_they_do_without_seats() -> None:
    svc = service("a").concurrency(total=1)

    @svc.post("/upload")
    async def upload(file: UploadFile) -> int:
        return len(await file.read())

    @svc.post("/stream")
    async def stream(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @svc.post("/maybe")
    async def maybe(value: dict[str, int] | None = None) -> Any:
        return value

    @svc.post("/raw")
    async def raw(request: Request, value: dict[str, int]) -> str:
        return (await request.body()).decode()

    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        answers = [
            (await client.post("/upload", files={"file": b"x" * 100_000})).text,
            (await client.post("/stream", content=b"x" * 100_000)).text,
            (await client.post("/maybe")).text,
            (await client.post("/maybe", json={"a": 1})).text,
            (await client.post("/raw", json={"a": 1})).json(),
            (await client.post("/raw", content=b"{", headers={"content-type": "application/json"})).status_code,
        ]
    assert answers == ["100000", "100000", "null", '{"a":1}', '{"a":1}', 422]


async def test_V3_requests_that_wait_when_a_drain_begins_are_answered() -> None:
    svc, go = service("a").concurrency(total=1), anyio.Event()

    @svc.get("/x")
    async def x() -> str:
        await go.wait()
        return "x"

    async with running(svc, sockets=True) as env:
        callers = [Caller(env.url("a")) for _ in range(5)]
        for caller in callers:
            caller.ask("/x")
        await until(lambda: medium(env, svc).arrived == 5)
        env.host("a").drain()
        go.set()
        answers = [await caller.answer() for caller in callers]
        for caller in callers:
            caller.socket.close()
    assert all(b" 200 " in answer for answer in answers)


async def test_R2_when_a_service_crashes_those_who_wait_get_503_and_every_seat_is_free() -> None:
    svc, crash = service("a").concurrency(total=1), anyio.Event()

    @svc.background_task(on_error="fail_service")
    async def watch() -> None:
        await crash.wait()
        raise ValueError("crashed")

    @svc.get("/x")
    async def x() -> None:
        await anyio.sleep_forever()

    async with running(svc, sockets=True, raise_errors=False, settings={"runtime": {"backoff": 60}}) as env:
        callers = [Caller(env.url("a")) for _ in range(4)]
        for caller in callers:
            caller.ask("/x")
        await until(lambda: medium(env, svc).arrived == 4)
        crash.set()
        answers = [await caller.answer() for caller in callers]
        for caller in callers:
            caller.socket.close()
        await until(lambda: medium(env, svc).in_use == 0)
        seen = medium(env, svc)
    assert all(b" 503 " in answer for answer in answers)
    assert (seen.in_use, seen.queued, balanced(seen)) == (0, 0, True)
