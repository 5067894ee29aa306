"""X9: a key is free again when nothing was done, or nothing that can be repeated; and when who had it has died."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from tests.integration.keyed import KINDS, Till, idle, on, post, sums

from evox import Depends, HTTPException, Query, Response, ServiceBuilder, inject
from evox.errors import BackendUnavailable, Overloaded
from evox.testing import run_virtual, running

EACH_KIND = pytest.mark.parametrize("kind", KINDS)


@EACH_KIND
async def test_X9_what_is_rejected_before_the_handler_frees_its_key(kind: str, tmp_path: Path) -> None:
    svc, runs, refusals = ServiceBuilder("till"), list[int](), list[Exception]()

    async def guard() -> None:
        if refusals:
            raise refusals.pop()

    @svc.post("/x", idempotency=60, dependencies=[Depends(guard)])
    async def x(response: Response, amount: Annotated[int, Query(ge=0)]) -> int:
        runs.append(amount)
        return amount

    async with running(svc, settings=on(kind, tmp_path)) as env:
        for expected, refusal in ((403, HTTPException(403)), (503, Overloaded("low", "queue_full", "it", 1.0))):
            refusals.append(refusal)
            assert (await post(env, "/x?amount=1")).status_code == expected
        for amount in ("-1", "x"):
            assert (await post(env, f"/x?amount={amount}", "k2")).status_code == 422
        answer = await post(env, "/x?amount=1", headers={"x-evox-deadline": "0"})
        assert answer.status_code == 504
        assert runs == []
        assert (await post(env, "/x?amount=1")).json() == 1
        assert (await post(env, "/x?amount=2", "k2")).json() == 2
        assert (sums(env).running, sums(env).unkept) == (0, 0)


@EACH_KIND
@pytest.mark.parametrize("how", ["raises", "answers", "http"])
async def test_X9_a_handler_that_fails_frees_its_key(kind: str, tmp_path: Path, how: str) -> None:
    svc, runs = ServiceBuilder("till"), list[int]()

    @svc.post("/x", idempotency=60)
    async def x() -> Response:
        runs.append(1)
        if len(runs) > 1:
            return Response(b"good")
        if how == "raises":
            raise ValueError("bad")
        if how == "http":
            raise HTTPException(502)
        return Response(b"bad", 500)

    async with running(svc, settings=on(kind, tmp_path)) as env:
        assert (await post(env, "/x")).status_code >= 500
        assert (await post(env, "/x")).text == "good"
        assert (await post(env, "/x")).headers["idempotency-replayed"] == "true"


@EACH_KIND
async def test_X9_a_call_whose_time_is_over_frees_its_key(kind: str, tmp_path: Path) -> None:
    svc, hangs = ServiceBuilder("till"), [True]

    @svc.post("/x", idempotency=60, timeout=0.05)
    async def x() -> str:
        if hangs:
            hangs.pop()
            await anyio.sleep_forever()
        return "good"

    async with running(svc, settings=on(kind, tmp_path)) as env:
        assert (await post(env, "/x")).status_code == 504
        assert (await post(env, "/x")).text == '"good"'


@EACH_KIND
async def test_X9_a_call_that_is_cancelled_frees_its_key(kind: str, tmp_path: Path) -> None:
    till = Till(on_disconnect="cancel")
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(post, env, "/slow")
            await till.begun.wait()
            group.cancel_scope.cancel()
        await idle(env)
        till.go.set()
        answer = await post(env, "/slow")
        assert (answer.json(), "idempotency-replayed" in answer.headers) == (1, False)


@EACH_KIND
async def test_X9_an_answer_that_its_client_did_not_wait_for_is_kept(kind: str, tmp_path: Path) -> None:
    till = Till()
    async with running(till.svc, settings=on(kind, tmp_path)) as env:
        async with anyio.create_task_group() as group:
            group.start_soon(post, env, "/slow")
            await till.begun.wait()
            group.cancel_scope.cancel()
        till.go.set()
        await idle(env)
        answer = await post(env, "/slow")
        assert (answer.json(), answer.headers["idempotency-replayed"]) == (1, "true")


@EACH_KIND
async def test_X9_a_dependency_that_cannot_commit_leaves_no_answer_behind(kind: str, tmp_path: Path) -> None:
    svc, runs = ServiceBuilder("till"), list[int]()

    async def unit() -> AsyncIterator[None]:
        yield
        if len(runs) == 1:
            raise RuntimeError("it cannot be committed")

    @svc.post("/x", idempotency=60, dependencies=[Depends(unit, scope="function")])
    async def x() -> int:
        runs.append(1)
        return len(runs)

    async with running(svc, settings=on(kind, tmp_path)) as env:
        assert (await post(env, "/x")).status_code == 500
        assert (await post(env, "/x")).json() == 2


def test_X9_an_answer_is_kept_for_as_long_as_was_said() -> None:
    till = Till()

    async def main() -> None:
        async with running(till.svc) as env:
            await post(env)
            await anyio.sleep(24 * 3600 - 1)
            assert (await post(env)).json()["number"] == 1
            await anyio.sleep(2)
            assert (await post(env)).json()["number"] == 2

    run_virtual(main)


def test_X9_what_runs_longer_than_its_claim_is_still_not_run_twice_beside_itself() -> None:
    svc, runs = ServiceBuilder("till"), list[int]()

    @svc.post("/x", idempotency="24h")
    async def x() -> int:
        runs.append(1)
        await anyio.sleep(600)
        return len(runs)

    async def main() -> None:
        async with running(svc) as env, anyio.create_task_group() as group:
            answers = list[httpx2.Response]()

            async def one() -> None:
                answers.append(await post(env, "/x", timeout=None))

            group.start_soon(one)
            for _ in range(5):
                await anyio.sleep(100)
                assert (await post(env, "/x")).status_code == 409
            await anyio.sleep(200)
            assert answers[0].json() == 1
            assert (await post(env, "/x")).headers["idempotency-replayed"] == "true"

    run_virtual(main)


@pytest.mark.parametrize("is_down", [False, True])
def test_X9_a_backend_that_fails_keeps_an_answer_from_its_client_for_a_few_seconds_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, is_down: bool
) -> None:
    till = Till()

    async def fails(*_: Any) -> int:
        if is_down:
            raise BackendUnavailable("a store", "a test")
        await anyio.sleep_forever()
        return 0

    async def main() -> None:
        async with running(till.svc) as env, anyio.create_task_group() as group:
            answers = list[httpx2.Response]()

            async def one() -> None:
                answers.append(await post(env, "/slow", timeout=None))

            group.start_soon(one)
            await till.begun.wait()
            (store,) = env.service("till").data.stores.all()
            monkeypatch.setattr(store.backend, "fill", fails)
            till.go.set()
            await anyio.sleep(6)
            assert (answers[0].status_code, sums(env).running, sums(env).unkept) == (200, 0, 1)
            monkeypatch.undo()
            assert ["is not kept for its idempotency key" in one.message for one in caplog.records] == [True]
            assert (await post(env, "/slow")).status_code == 409
            await anyio.sleep(60)  # its claim is over: nobody knows that it was done
            assert (await post(env, "/slow")).status_code == 200

    run_virtual(main)


async def test_X9_over_quota_is_an_error_before_the_handler_runs() -> None:
    till = Till()
    async with running(till.svc, settings={"data": {"backend": "memory", "entries": 3}}) as env:
        for number in range(3):
            assert (await post(env, key=f"k{number}")).status_code == 201
        answer = await post(env, key="k3")
        assert (answer.status_code, answer.json()["type"]) == (507, "urn:evox:error:EVX-703")
        assert len(till.charged) == 3
        for number in range(3):
            assert (await post(env, key=f"k{number}")).headers["idempotency-replayed"] == "true"
        assert (await post(env, key=None)).status_code == 201


async def test_X9_an_answer_for_which_there_is_no_room_is_given_and_its_key_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    svc = ServiceBuilder("till")

    @svc.post("/x", idempotency=60)
    async def x() -> str:
        return "x" * 5000

    async with running(svc, settings={"data": {"backend": "memory", "memory_bytes": 4000}}) as env:
        with caplog.at_level(logging.WARNING, "evox.data"):
            for _ in range(2):
                answer = await post(env, "/x")
                assert (len(answer.json()), "idempotency-replayed" in answer.headers) == (5000, False)
        assert ["memory has no room" in one.message for one in caplog.records] == [True]
        assert (sums(env).freed, sums(env).unkept, sums(env).running) == (2, 2, 0)


async def test_X9_a_service_that_was_not_started_takes_no_keys() -> None:
    till = Till()
    transport = httpx2.ASGITransport(app=till.svc.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://till") as client:
        answer = await client.post("/charges?amount=5", headers={"idempotency-key": "k"})
        assert (answer.status_code, till.charged) == (500, [])
        assert answer.json()["type"] == "urn:evox:error:EVX-601"
        assert (await client.post("/charges?amount=5")).status_code == 201


async def test_X9_copies_make_room_for_answers_and_never_the_other_way_round() -> None:
    svc = ServiceBuilder("till")

    @svc.get("/{n}", cache=600)
    async def read(n: int) -> int:
        return n

    @svc.post("/{n}", idempotency=600)
    async def write(n: int) -> int:
        return n

    async with running(svc, settings={"data": {"backend": "memory", "entries": 10}}) as env:
        for n in range(5):
            await post(env, f"/{n}")
        for n in range(50):
            await env.client(svc).get(f"/{n}")
        await env.service(svc).data.invalidate(prefix="")
        for n in range(5):
            assert (await post(env, f"/{n}")).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("fails", [False, True])
async def test_X9_an_answer_within_a_transaction_on_the_same_file_is_kept_when_that_has_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, fails: bool
) -> None:
    svc, runs = ServiceBuilder("till"), list[int]()

    async def unit() -> AsyncIterator[Any]:
        db = inject.db()
        async with db.transaction():
            yield db
            if fails and len(runs) == 1:
                raise RuntimeError("it cannot be committed")

    @svc.post("/x", idempotency=60)
    async def x(db: Annotated[Any, Depends(unit)], status: int = 200) -> Response:
        runs.append(1)
        await db.execute("INSERT INTO t VALUES (1)")
        return Response(b"%d" % len(runs), status)

    async with running(svc, settings=on("sqlite", tmp_path), raise_errors=False) as env:
        await inject.db().execute("CREATE TABLE t (n INTEGER)")
        with caplog.at_level(logging.WARNING, "evox.data"), anyio.fail_after(15):
            await post(env, "/x")
            await idle(env)
            answer = await post(env, "/x")
            assert answer.text == ("2" if fails else "1")
            assert ("idempotency-replayed" in answer.headers) is not fails
            assert (await post(env, "/x?status=x", "k2")).status_code == 422  # within a transaction too
            for _ in range(2):
                await idle(env)
                assert (await post(env, "/x?status=503", "k2")).status_code == 503
            await idle(env)
        assert [one for one in caplog.records if one.name == "evox.data"] == []
