"""X9 between processes on one backend, after a restart, and after a process was killed in the middle."""

import signal
import time
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.integration.keyed import Till, idle, on, post, sums
from tests.support import EvoxProcess, Run

from evox.testing import Env, running

SHOP = """
import os
import time

from evox import service

svc = service("shop").port(0)


@svc.post("/charges", idempotency="24h", timeout="{timeout}", status_code=201)
def charge(amount: int, wait: bool = False) -> int:
    with open("charged.txt", "a") as file:
        file.write(str(amount))
    while wait and not os.path.exists("go"):
        time.sleep(0.01)
    return os.getpid()
"""
QUICK = {"EVOX_SERVING__DRAIN_DELAY": "0", "EVOX_DATA__BACKEND": "sqlite:///kept.db"}


async def test_X9_a_key_is_one_for_all_processes_on_a_backend(tmp_path: Path) -> None:
    tills, answers = (Till(), Till()), list[httpx2.Response]()
    async with (
        running(tills[0].svc, settings=on("sqlite", tmp_path)) as one,
        running(tills[1].svc, settings=on("sqlite", tmp_path)) as other,
    ):

        async def ask(env: Env) -> None:
            answers.append(await post(env, "/slow"))
            if len(answers) == 19:
                tills[0].go.set()
                tills[1].go.set()

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, (one, other)[number % 2])
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
        assert len(tills[0].charged) + len(tills[1].charged) == 1
        replays = [await post(env, "/slow") for env in (one, other)]
        first = next(answer for answer in answers if answer.status_code == 200)
        for again in replays:
            assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
        assert (await post(other, "/slow?x=1")).status_code == 422


async def test_X9_a_durable_backend_gives_answers_again_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 2):
        till = Till()
        async with running(till.svc, settings=on("sqlite", tmp_path)) as env:
            answer = await post(env)
            assert (answer.status_code, answer.json()) == (201, {"number": 1, "amount": 5})
            assert ("idempotency-replayed" in answer.headers) is (number == 2)
    assert till.charged == []


async def test_X9_a_request_that_ends_with_its_service_has_not_taken_its_key_for_ever(tmp_path: Path) -> None:
    till = Till(on_disconnect="cancel")
    async with running(till.svc, settings=on("sqlite", tmp_path)) as env, anyio.create_task_group() as group:
        group.start_soon(post, env, "/slow")
        await till.begun.wait()
        group.cancel_scope.cancel()
    async with running(till.svc, settings=on("sqlite", tmp_path)) as env:
        till.go.set()
        assert (await post(env, "/slow")).status_code == 200
        await idle(env)
        assert sums(env).kept == 1


def charge(process: EvoxProcess, query: str = "") -> httpx2.Response:
    with process.client() as client:
        return client.post(f"/charges?amount=5{query}", headers={"idempotency-key": "k1"})


def test_X9_a_service_that_was_killed_gives_its_answers_again(evox_run: Run, tmp_path: Path, backend: str) -> None:
    process = evox_run({"shop.py": SHOP.format(timeout="1m")}, "--backend", backend, "--json", env=QUICK)
    first = charge(process)
    assert first.status_code == 201
    process.kill(signal.SIGKILL)
    process.wait()
    again = charge(evox_run({}, "--backend", backend, "--json", env=QUICK))
    assert (again.status_code, again.text) == (201, first.text)
    assert again.headers["idempotency-replayed"] == "true"
    assert (tmp_path / "charged.txt").read_text() == "5"


@pytest.mark.parametrize("workers", ["2"])
def test_X9_a_key_is_taken_by_one_of_several_workers(evox_run: Run, tmp_path: Path, workers: str) -> None:
    files = {"shop.py": SHOP.format(timeout="1m")}
    process = evox_run(files, "--workers", workers, "--json", env=QUICK)
    answers = [charge(process) for _ in range(10)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert (tmp_path / "charged.txt").read_text() == "5"


def test_X9_a_process_that_was_killed_in_the_middle_blocks_its_key_for_its_claim_only(
    evox_run: Run, tmp_path: Path
) -> None:
    process = evox_run({"shop.py": SHOP.format(timeout="1s")}, "--json", env=QUICK)
    with process.client() as client, pytest.raises(httpx2.TimeoutException):
        client.post("/charges?amount=5&wait=true", headers={"idempotency-key": "k1"}, timeout=0.5)
    process.kill(signal.SIGKILL)
    process.wait()
    (tmp_path / "go").touch()
    process = evox_run({}, "--json", env=QUICK)
    answer, ends = charge(process, "&wait=true"), time.monotonic() + 12
    assert answer.status_code == 409
    while answer.status_code == 409 and time.monotonic() < ends:
        time.sleep(0.2)
        answer = charge(process, "&wait=true")
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers
    assert (tmp_path / "charged.txt").read_text() == "55"
