"""Signals to ``evox run --workers N``: all workers drain together, and no process is left whatever ends the parent."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.support import EvoxProcess, HttpSocket, Run, pids_of

DELAY, TIMEOUT, SHUTDOWN = 0.3, 1.0, 0.3
QUICK = {
    "EVOX_SERVING__DRAIN_DELAY": f"{DELAY}s",
    "EVOX_SERVING__DRAIN_TIMEOUT": f"{TIMEOUT}s",
    "EVOX_SERVING__STREAM_GRACE": "0.5s",
    "EVOX_RUNTIME__SHUTDOWN_TIMEOUT": f"{SHUTDOWN}s",
}
CLIENTS = 20
SHOP = """
import os

import anyio

from evox import service

svc = service("shop").port(0)


@svc.get("/pid")
async def pid() -> int:
    await anyio.sleep(0.02)
    return os.getpid()


@svc.get("/slow")
async def slow() -> int:
    await anyio.sleep(0.6)
    return os.getpid()


@svc.get("/endless")
async def endless() -> None:
    await anyio.sleep(60)
"""
HELD = """

@svc.on_startup
async def wait() -> None:
    print("starting", file=__import__("sys").stderr, flush=True)
    await anyio.sleep(60)
"""


def start(run: Run, *arguments: str, text: str = SHOP, env: dict[str, str] | None = None) -> EvoxProcess:
    return run({"shop.py": text}, "--workers", "2", "--json", *arguments, env={**QUICK, **(env or {})})


def workers(process: EvoxProcess) -> list[int]:
    return list(process.event("started")["workers"])


def wait_gone(process: EvoxProcess, *, within: float = 1.0) -> None:
    end = time.monotonic() + within
    while left := pids_of(process.mark):
        assert time.monotonic() < end, f"{left} go on\n{process.out}\n{process.err}"
        time.sleep(0.02)


@pytest.fixture
def held(evox_run: Run, backend: str) -> Iterator[tuple[EvoxProcess, dict[int, HttpSocket]]]:
    """Yield two workers, and a request that outlives the deadline in each of them."""
    process = start(evox_run, "--backend", backend)
    assert len(workers(process)) == 2
    with ExitStack() as stack:
        found: dict[int, HttpSocket] = {}
        while len(found) < 2:
            connection = stack.enter_context(HttpSocket(process.address()))
            found.setdefault(int(connection.get("/pid").body), connection)
        for connection in found.values():
            connection.send("/endless")
        yield process, found


@pytest.mark.usefixtures("http1")
def test_V3_at_a_signal_all_drain_together_and_no_request_is_unanswered(evox_run: Run, backend: str) -> None:
    process = start(evox_run, "--backend", backend)
    with ExitStack() as stack:
        connections = [stack.enter_context(HttpSocket(process.address())) for _ in range(CLIENTS)]
        assert {int(one.get("/pid").body) for one in connections} <= set(workers(process))
        slow = [stack.enter_context(HttpSocket(process.address())) for _ in range(4)]
        for one in slow:
            one.send("/slow")
        process.kill(signal.SIGTERM)
        process.event("draining")
        time.sleep(0.1)  # the contract: within 100 ms
        answers = [one.get("/health/ready") for one in connections]
        assert {answer.status for answer in answers} == {503}
        assert all(answer.closes for answer in answers)
        assert {one.answer().status for one in slow} == {200}
    assert process.wait() == 0
    assert [event["event"] for event in process.events] == ["started", "draining", "stopped"]
    assert process.event("stopped") == {
        "event": "stopped", "schema": 1, "code": 0, "cut_requests": [], "cut_streams": []
    }  # fmt: skip
    wait_gone(process, within=0.1)


def test_V3_requests_that_outlive_the_deadline_are_cut_named_and_exit_with_124(
    held: tuple[EvoxProcess, dict[int, HttpSocket]],
) -> None:
    process, _ = held
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 124
    assert time.monotonic() < signalled + TIMEOUT + 1.0
    stopped = process.event("stopped")
    assert stopped["code"] == 124
    assert len(stopped["cut_requests"]) == 2
    assert all("GET /endless" in label for label in stopped["cut_requests"])
    wait_gone(process, within=0.1)


def test_V3_a_grace_for_streams_beyond_the_deadline_does_not_move_the_deadline(evox_run: Run, backend: str) -> None:
    process = start(evox_run, "--backend", backend, env={"EVOX_SERVING__STREAM_GRACE": "5s"})
    with HttpSocket(process.address()) as connection:
        assert connection.get("/pid").status == 200
        connection.send("/endless")
        signalled = process.kill(signal.SIGTERM)
        assert process.wait() == 124
        assert time.monotonic() < signalled + TIMEOUT + 1.0
    assert process.event("stopped")["cut_requests"] == ["GET /endless"]


def test_R5_a_second_signal_ends_all_at_once_with_130(held: tuple[EvoxProcess, dict[int, HttpSocket]]) -> None:
    process, _ = held
    process.kill(signal.SIGTERM)
    process.event("draining")
    again = process.kill(signal.SIGTERM)
    assert process.wait() == 130
    assert time.monotonic() < again + DELAY
    wait_gone(process)


def test_workers_whose_parent_was_killed_finish_what_they_hold_and_end(evox_run: Run, backend: str) -> None:
    process = start(evox_run, "--backend", backend)
    with HttpSocket(process.address()) as slow:
        assert slow.get("/pid").status == 200
        slow.send("/slow")
        process.kill(signal.SIGKILL)
        process.process.wait(5)
        assert slow.answer().status == 200
    wait_gone(process, within=TIMEOUT + 1.0)


def test_R5_ctrl_c_reaches_the_whole_process_group_and_drains_once(evox_run: Run, backend: str) -> None:
    process = start(evox_run, "--backend", backend)
    with HttpSocket(process.address()) as slow:
        assert slow.get("/pid").status == 200
        slow.send("/slow")
        assert os.getpgid(process.process.pid) == process.process.pid
        os.killpg(process.process.pid, signal.SIGINT)
        assert slow.answer().status == 200
    assert process.wait() == 0
    assert [event["event"] for event in process.events] == ["started", "draining", "stopped"]
    assert process.event("draining")["signal"] == "SIGINT"
    assert process.err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_R5_a_signal_during_start_up_ends_it_with_0_at_once(evox_run: Run, number: signal.Signals) -> None:
    process = start(evox_run, text=SHOP + HELD)
    process.wait_error("starting")
    signalled = process.kill(number)
    assert process.wait() == 0
    assert time.monotonic() < signalled + TIMEOUT + 1.0
    assert [event["event"] for event in process.events] == ["draining", "stopped"]
    wait_gone(process, within=0.1)


def test_R5_a_signal_while_workers_are_imported_ends_it_with_0_at_once(evox_run: Run) -> None:
    importing = "import sys, time\nprint('starting', file=sys.stderr, flush=True)\ntime.sleep(5)\n"
    process = start(evox_run, text=importing + SHOP)
    process.wait_error("starting")
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() < signalled + TIMEOUT + 1.0
    wait_gone(process, within=0.1)
