"""Inflight: what it counts, refuses, says while it drains, and cuts."""

import json
from typing import Any

import anyio
import pytest

from evox.serving import Kind


async def test_it_refuses_until_it_admits(door: Any) -> None:
    door.inflight.refuse("starting")
    client = await door.ask()
    assert (client.status, client.headers[b"retry-after"]) == (503, b"1")
    assert client.headers[b"content-type"].startswith(b"application/problem+json")
    door.inflight.admit()
    door.app.go.set()
    assert (await door.ask()).status == 200


async def test_a_refusal_says_which_service_why_and_when_to_try_again(door: Any) -> None:
    door.inflight.refuse("restarting", retry_after=2.5)
    client = await door.ask()
    body = json.loads(client.sent[1]["body"])
    assert client.headers[b"retry-after"] == b"3"
    assert "shop" in body["detail"]
    assert "restarting" in body["detail"]


async def test_an_exempt_path_is_answered_in_every_state(door: Any) -> None:
    door.inflight.refuse("failed")
    door.app.go.set()
    assert (await door.ask(path="/health")).status == 200
    assert (await door.ask(path="/healthy")).status == 503


async def test_an_exempt_path_below_a_root_path_is_answered_too(door: Any) -> None:
    door.inflight.refuse("failed")
    door.app.go.set()
    assert (await door.ask(path="/shop/health", root_path="/shop")).status == 200
    assert (await door.ask(path="/shop/other", root_path="/shop")).status == 503


async def test_a_refused_websocket_is_closed_with_1013(door: Any) -> None:
    door.inflight.refuse("starting")
    client = await door.ask("websocket")
    assert client.sent == [{"type": "websocket.close", "code": 1013}]


async def test_it_counts_what_is_open_by_kind_and_what_ever_was(door: Any) -> None:
    await door.open()
    await door.open("websocket")
    door.app.parts = 2
    await (await door.open()).wait("http.response.body")
    now = door.inflight.statistics()
    assert (now.requests, now.streams, now.websockets, now.total) == (1, 1, 1, 3)
    door.inflight.cut()
    await door.idle()
    after = door.inflight.statistics()
    assert (after.requests, after.streams, after.websockets, after.total, after.cut) == (0, 0, 0, 3, 3)
    assert "0 open" in repr(door.inflight)


async def test_an_answer_during_the_drain_asks_to_close_the_connection(door: Any) -> None:
    client = await door.open()
    door.inflight.begin_drain()
    door.app.go.set()
    await client.wait("http.response.body")
    assert client.headers[b"connection"] == b"close"


async def test_a_request_that_comes_during_the_drain_is_answered_and_asks_to_close(door: Any) -> None:
    door.inflight.begin_drain()
    door.app.go.set()
    client = await door.ask()
    assert (client.status, client.headers[b"connection"]) == (200, b"close")


async def test_an_answer_before_the_drain_asks_for_nothing(door: Any) -> None:
    door.app.go.set()
    assert b"connection" not in (await door.ask()).headers


async def test_an_http_2_answer_has_no_connection_header(door: Any) -> None:
    client = await door.open(version="2")
    door.inflight.begin_drain()
    door.app.go.set()
    await client.wait("http.response.body")
    assert b"connection" not in client.headers


async def test_a_websocket_that_waits_for_its_client_is_told_1001_when_the_drain_begins(door: Any) -> None:
    client = await door.open("websocket")
    await anyio.wait_all_tasks_blocked()
    door.inflight.begin_drain()
    assert (await client.wait("websocket.close"))["code"] == 1001
    await door.idle()
    assert door.app.last == {"type": "websocket.disconnect", "code": 1001}
    assert not door.app.cancelled


async def test_a_websocket_accepted_during_the_drain_is_told_1001(door: Any) -> None:
    door.inflight.begin_drain()
    client = await door.open("websocket")
    assert (await client.wait("websocket.close"))["code"] == 1001
    await door.idle()


async def test_cut_ends_only_the_kinds_that_are_named(door: Any) -> None:
    request = await door.open(path="/slow")
    await door.open("websocket", "/talk")
    assert door.inflight.cut(Kind.STREAM, Kind.WEBSOCKET) == ["WebSocket /talk"]
    await anyio.wait_all_tasks_blocked()
    assert door.inflight.statistics().requests == 1
    door.app.go.set()
    await request.wait("http.response.body")
    assert request.status == 200


async def test_a_request_that_is_cut_before_its_answer_gets_503(door: Any) -> None:
    client = await door.open()
    door.inflight.begin_drain()
    door.inflight.cut()
    await door.idle()
    assert (client.status, client.headers[b"connection"]) == (503, b"close")
    assert door.app.cancelled


async def test_a_stream_that_is_cut_is_not_finished_as_if_it_were_whole(door: Any) -> None:
    door.app.parts = 2
    client = await door.open()
    await client.wait("http.response.body")
    door.inflight.cut(Kind.STREAM)
    await door.idle()
    assert [one for one in client.sent if one["type"] == "http.response.body" and not one.get("more_body")] == []


async def test_a_websocket_that_is_cut_is_closed_with_1001_once(door: Any) -> None:
    client = await door.open("websocket")
    door.inflight.begin_drain()
    door.inflight.cut(Kind.WEBSOCKET)
    await door.idle()
    assert [one for one in client.sent if one["type"] == "websocket.close"] == [
        {"type": "websocket.close", "code": 1001}
    ]


async def test_unanswered_names_the_requests_whose_answer_has_not_begun(door: Any) -> None:
    await door.open(path="/waiting")
    door.app.parts = 2
    await (await door.open(path="/begun")).wait("http.response.body")
    await door.open("websocket", "/talk")
    assert door.inflight.unanswered() == ["GET /waiting"]


async def test_refuse_cuts_what_is_open_and_says_the_new_state(door: Any) -> None:
    client = await door.open()
    door.inflight.refuse("restarting")
    await door.idle()
    assert client.status == 503
    assert b"restarting" in client.sent[-1]["body"]


async def test_an_unhandled_error_is_500_logged_once_and_told(door: Any, caplog: pytest.LogCaptureFixture) -> None:
    door.app.error = ValueError("a bug")
    door.app.go.set()
    client = await door.ask()
    assert (client.status, client.types) == (500, ["http.response.start", "http.response.body"])
    assert [str(error) for error in door.errors] == ["a bug"]
    assert [record.message.splitlines()[0] for record in caplog.records] == ["GET / failed"]
    assert door.inflight.statistics().failed == 1


async def test_an_error_in_the_middle_of_an_answer_sends_nothing_more(door: Any) -> None:
    door.app.parts = 2
    door.app.error = ValueError("a bug")
    door.app.go.set()
    client = await door.ask()
    assert client.types == ["http.response.start", "http.response.body"]
    assert client.sent[-1]["more_body"] is True


async def test_wait_idle_returns_at_once_when_nothing_is_open(door: Any) -> None:
    await door.idle()


async def test_wait_idle_wakes_every_waiter(door: Any) -> None:
    await door.open()
    woken = []
    async with anyio.create_task_group() as group:
        for number in range(3):

            async def wait(number: int = number) -> None:
                await door.idle()
                woken.append(number)

            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        door.app.go.set()
    assert sorted(woken) == [0, 1, 2]


async def test_each_answer_is_told_with_its_status(door: Any) -> None:
    told: list[tuple[str, int]] = []
    door.inflight.on_answer = lambda label, status, took: told.append((label, status))
    door.app.go.set()
    await door.ask(path="/one")
    assert told == [("GET /one", 200)]
