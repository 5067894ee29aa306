"""X9: the first answer to each idempotency key is kept in the data backend, and given again."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import BackgroundTasks, Form, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from tests.integration.keyed import KINDS, Till, on, post, sums

from evox import Body, Depends, HTTPException, Request, Response, ServiceBuilder
from evox.errors import BackendUnavailable, WriteOutcomeUnknown
from evox.testing import running

pytestmark = pytest.mark.parametrize("kind", KINDS)


def same(one: httpx2.Response, other: httpx2.Response) -> bool:
    """Whether one answer is another, given again."""
    again = {**other.headers}
    assert again.pop("idempotency-replayed") == "true"
    return (one.status_code, one.content, {**one.headers}) == (other.status_code, other.content, again)


async def test_X9_a_repeated_request_is_given_the_first_answer_and_not_run(kind: str, tmp_path: Path) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        first = await post(env)
        assert (first.status_code, first.json()) == (201, {"number": 1, "amount": 5})
        assert "idempotency-replayed" not in first.headers
        assert same(first, await post(env))
        assert same(first, await post(env))
        assert (await post(env, key="k2")).json()["number"] == 2
        assert till.charged == [5, 5]
        counted = sums(env)
        assert (counted.claimed, counted.kept, counted.replayed, counted.running) == (2, 2, 2, 0)


async def test_X9_without_a_key_every_request_is_run(kind: str, tmp_path: Path) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        for number in (1, 2):
            assert (await post(env, key=None)).json()["number"] == number


async def test_X9_headers_and_status_are_given_again_and_cookies_are_not(kind: str, tmp_path: Path) -> None:
    svc, after, done = ServiceBuilder("till"), list[str](), anyio.Event()

    async def finish() -> None:
        after.append("done")
        done.set()

    @svc.post("/x", idempotency="24h")
    async def x(response: Response, tasks: BackgroundTasks, body: Any = Body()) -> Any:
        response.headers["x-order"] = "ünï-7"
        response.set_cookie("session", "secret")
        tasks.add_task(finish)
        return {"got": body}, 202, {"location": "/x/7"}

    async with running(svc, settings=on(kind, tmp_path)) as env:
        first = await post(env, "/x", json={"a": 1})
        again = await post(env, "/x", json={"a": 1})
        assert (first.status_code, first.headers["location"], first.headers["x-order"]) == (202, "/x/7", "ünï-7")
        assert first.cookies["session"] == "secret"
        assert "set-cookie" not in again.headers
        del first.headers["set-cookie"]
        assert same(first, again)
        await done.wait()
        assert after == ["done"]


@pytest.mark.parametrize("status", [200, 204, 303, 400, 404, 409, 418, 499])
async def test_X9_every_answer_below_500_is_kept(kind: str, tmp_path: Path, status: int) -> None:
    svc, runs = ServiceBuilder("till"), list[int]()

    @svc.post("/x", idempotency=60)
    async def x() -> Response:
        runs.append(1)
        return Response(b"" if status == 204 else b"%d" % len(runs), status)

    async with running(svc, settings=on(kind, tmp_path)) as env:
        assert same(await post(env, "/x"), await post(env, "/x"))
    assert len(runs) == 1


async def test_X9_an_answer_that_the_handler_raises_is_one_too(kind: str, tmp_path: Path) -> None:
    svc, runs, undone = ServiceBuilder("till"), list[str](), list[str]()

    class Declined(Exception):
        pass

    @svc.exception_handler(Declined)
    async def declined(request: Request, error: Declined) -> JSONResponse:
        return JSONResponse({"declined": len(runs)}, 402, {"x-own": "1"})

    async def unit() -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            undone.append(type(error).__name__)
            raise

    @svc.post("/{how}", idempotency=60, dependencies=[Depends(unit)])
    async def x(how: str) -> None:
        runs.append(how)
        raise Declined if how == "own" else HTTPException(409, {"n": len(runs)}, {"x-why": "because"})

    async with running(svc, settings=on(kind, tmp_path)) as env:
        for path in ("/own", "/http"):
            assert same(await post(env, path), await post(env, path))
    assert runs == ["own", "http"]
    assert undone == ["Declined", "HTTPException"]


async def test_X9_the_same_key_with_another_request_is_422_and_says_so(kind: str, tmp_path: Path) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        await post(env, "/charges?amount=5")
        for query, body in (("amount=6", b""), ("amount=5&x=1", b""), ("amount=5", b"{}")):
            answer = await post(env, f"/charges?{query}", content=body)
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert answer.json()["type"] == "urn:evox:error:EVX-607"
            assert "used before for another request" in answer.json()["detail"]
            assert "retry-after" not in answer.headers
        assert till.charged == [5]
        assert sums(env).mismatches == 3


async def test_X9_the_order_of_a_query_means_nothing(kind: str, tmp_path: Path) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        await post(env, "/charges?amount=5&x=1")
        assert (await post(env, "/charges?x=1&amount=5")).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "k\u00e9", "a\tb", "k\x7f"])
async def test_X9_a_key_that_cannot_be_one_is_400(kind: str, tmp_path: Path, key: str) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        answer = await env.client("till").post(
            "/charges?amount=5", headers=[(b"idempotency-key", key.encode("latin-1"))]
        )
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:evox:error:EVX-608")
        assert key == "" or key not in answer.text
        twice = await env.client("till").post(
            "/charges?amount=5", headers=[("idempotency-key", "a"), ("idempotency-key", "a")]
        )
        assert twice.status_code == 400
    assert till.charged == []


@pytest.mark.parametrize("key", ["x", "~" * 255, '"quoted key"', "a:b/c\\n%*"])
async def test_X9_every_printable_text_is_a_key(kind: str, tmp_path: Path, key: str) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        assert same(await post(env, key=key), await post(env, key=key))


async def test_X9_paths_and_methods_and_endpoints_have_keys_of_their_own(kind: str, tmp_path: Path) -> None:
    svc = ServiceBuilder("till")

    @svc.endpoint("/{name}", methods=["GET", "POST", "PUT", "DELETE"], idempotency=60)
    async def x(name: str, request: Request) -> str:
        return f"{request.method} {name}"

    async with running(svc, settings=on(kind, tmp_path)) as env:
        client = env.client("till", headers={"idempotency-key": "k"})
        for method in ("POST", "PUT", "DELETE"):
            for name in ("a", "b", "a%2Fb", "ü" * 300):
                first = await client.request(method, f"/{name}")
                if first.status_code == 200:
                    assert same(first, await client.request(method, f"/{name}"))
                    assert first.json().startswith(method)
        assert "idempotency-replayed" not in (await client.get("/a")).headers
        assert "idempotency-replayed" not in (await client.get("/a")).headers


async def test_X9_bodies_of_every_kind_reach_the_handler_though_they_were_read_before(
    kind: str, tmp_path: Path
) -> None:
    svc = ServiceBuilder("till")

    @svc.post("/form", idempotency=60)
    async def form(file: UploadFile, name: str = Form()) -> Any:
        return [name, (await file.read()).decode()]

    @svc.post("/raw", idempotency=60)
    async def raw(request: Request) -> Any:
        return [part.decode() async for part in request.stream() if part]

    @svc.post("/sync", idempotency=60)
    def sync(body: Any = Body()) -> Any:
        return body

    async with running(svc, settings=on(kind, tmp_path)) as env:
        sent = httpx2.Request("POST", "http://x", data={"name": "ada"}, files={"file": b"text"})
        content, media = sent.read(), {"content-type": sent.headers["content-type"]}
        for _ in range(2):
            assert (await post(env, "/form", content=content, headers=media)).json() == ["ada", "text"]
            assert (await post(env, "/raw", content=b"text")).json() == ["text"]
            assert (await post(env, "/sync", json=[1])).json() == [1]
        assert sums(env).replayed == 3


async def test_X9_a_stream_is_given_and_not_kept_and_that_is_logged_once(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    svc, runs = ServiceBuilder("till"), list[int]()

    @svc.post("/response", idempotency=60)
    async def response() -> StreamingResponse:
        runs.append(1)
        return StreamingResponse(iter(["a", "b"]), 201)

    @svc.post("/items", idempotency=60)
    async def items() -> AsyncIterator[int]:
        runs.append(1)
        yield 1

    async with running(svc, settings=on(kind, tmp_path)) as env:
        for path, text in (("/response", "ab"), ("/items", "1")):
            with caplog.at_level(logging.WARNING, "evox"):
                for _ in range(2):
                    answer = await post(env, path)
                    assert (answer.text.strip(), answer.is_success) == (text, True)
                    assert "idempotency-replayed" not in answer.headers
            assert [one.message for one in caplog.records if repr(path[1:]) in one.message] == [
                f"an answer of {path[1:]!r} is not kept for its idempotency key: it is a stream or a file"
            ]
        assert (sums(env).unkept, sums(env).freed, sums(env).running) == (4, 4, 0)
    assert len(runs) == 4


async def test_X9_an_answer_over_value_bytes_is_given_and_not_kept(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    svc = ServiceBuilder("till")

    @svc.post("/x", idempotency=60)
    async def x(size: int) -> str:
        return "x" * size

    async with running(svc, settings=on(kind, tmp_path, value_bytes=1000)) as env:
        with caplog.at_level(logging.WARNING, "evox"):
            for _ in range(2):
                answer = await post(env, "/x?size=2000")
                assert (len(answer.json()), "idempotency-replayed" in answer.headers) == (2000, False)
        assert ["value_bytes allows 1000" in one.message for one in caplog.records] == [True]
        await post(env, "/x?size=100", "small")
        assert "idempotency-replayed" in (await post(env, "/x?size=100", "small")).headers


async def test_X9_a_replay_takes_no_seat(kind: str, tmp_path: Path) -> None:
    till = Till()
    till.svc.concurrency(total=1, high=1, medium=1, low=1, queue=0)
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        first = await post(env)
        async with anyio.create_task_group() as group:
            group.start_soon(post, env, "/slow", None)
            await till.begun.wait()
            assert (await post(env, key="other")).status_code == 503
            assert same(first, await post(env))
            till.go.set()


async def test_X9_a_request_that_was_turned_away_has_not_used_its_key(kind: str, tmp_path: Path) -> None:
    till = Till()
    till.svc.concurrency(total=1, high=1, medium=1, low=1, queue=0)
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(post, env, "/slow", None)
            await till.begun.wait()
            assert (await post(env)).status_code == 503
            till.go.set()
        assert (await post(env)).status_code == 201
        assert same(await post(env), await post(env)) is False  # both are replays of it


async def test_X9_twenty_at_once_run_the_handler_once(kind: str, tmp_path: Path) -> None:
    till, answers = Till(), list[httpx2.Response]()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:

        async def one() -> None:
            answers.append(await post(env, "/slow"))
            if len(answers) == 19:
                till.go.set()

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
        for answer in answers:
            if answer.status_code == 409:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["type"] == "urn:evox:error:EVX-606"
                assert int(answer.headers["retry-after"]) >= 1
        assert till.charged == [0]
        assert (await post(env, "/slow")).headers["idempotency-replayed"] == "true"
        assert sums(env).conflicts == 19


async def test_X9_another_request_with_a_key_that_is_running_is_422(kind: str, tmp_path: Path) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env, anyio.create_task_group() as group:
        group.start_soon(post, env, "/slow")
        await till.begun.wait()
        assert (await post(env, "/slow?x=1")).status_code == 422
        till.go.set()


async def test_X9_a_backend_that_is_down_refuses_the_request(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = Till()

    async def down(*_: Any, **__: Any) -> None:
        raise BackendUnavailable("a store", "a test")

    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        (store,) = env.service("till").data.stores.all()
        with monkeypatch.context() as broken:
            broken.setattr(store.backend, "get", down)
            answer = await post(env)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:evox:error:EVX-701")
            assert till.charged == []
            assert (await post(env, key=None)).status_code == 201
        assert (await post(env)).status_code == 201


@pytest.mark.parametrize(
    "failure", [BackendUnavailable("it", "a test"), WriteOutcomeUnknown("it", "k", "a test")], ids=lambda one: one.id
)
@pytest.mark.parametrize("done", [False, True])
async def test_X9_an_answer_is_kept_though_the_backend_fails_for_a_moment(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, *, done: bool
) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        (store,) = env.service("till").data.stores.all()
        fill = store.backend.fill

        async def fails_once(*args: Any) -> int:
            monkeypatch.undo()
            if done:
                await fill(*args)
            raise failure

        async with anyio.create_task_group() as group:
            group.start_soon(post, env, "/slow")
            await till.begun.wait()
            monkeypatch.setattr(store.backend, "fill", fails_once)
            till.go.set()
        assert (await post(env, "/slow")).headers["idempotency-replayed"] == "true"
        assert (sums(env).kept, sums(env).unkept) == (1, 0)
