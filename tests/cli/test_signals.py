"""Signals that come at awkward times, and user code that does not end when it is told to."""

import signal
import time

import pytest
from tests.support import HttpSocket, Run

DELAY, TIMEOUT = 0.2, 1.0
SETTINGS = {
    "EVOX_SERVING__DRAIN_DELAY": f"{DELAY}s",
    "EVOX_SERVING__DRAIN_TIMEOUT": f"{TIMEOUT}s",
    "EVOX_SERVING__STREAM_GRACE": "0.5s",
    "EVOX_RUNTIME__SHUTDOWN_TIMEOUT": "0.5s",
}
HEAD = """
import sys
import time

import anyio

from evox import service

svc = service("held").port(0)


def say(text: str) -> None:
    sys.stderr.write(text + "\\n")
    sys.stderr.flush()

"""
STARTING = """
@svc.on_startup
async def first() -> None:
    say("first is up")


@svc.on_shutdown
async def first_down() -> None:
    say("first is down")


@svc.on_startup
async def second() -> None:
    say("second begins")
    await anyio.sleep(60)
"""
STARTING_THREAD = """
@svc.on_startup
def second() -> None:
    say("second begins")
    time.sleep(60)
"""
TASK = """
@svc.background_task()
async def task() -> None:
    say("works")
    await anyio.sleep(60)
"""
TASK_THREAD = """
@svc.background_task(interval=1)
def task() -> None:
    say("works")
    time.sleep(60)
"""
JOB_THREAD = """
def job() -> None:
    say("works")
    time.sleep(60)


@svc.on_startup
async def go() -> None:
    svc.start_soon(job)
"""
HOOK_RAISES = """
@svc.on_shutdown
async def down() -> None:
    raise RuntimeError("the hook failed")
"""
LIFESPAN_RAISES = """
@svc.lifespan
async def life():
    yield
    raise RuntimeError("the lifespan failed")
"""
HOOK_HANGS = """
@svc.on_shutdown
async def down() -> None:
    await anyio.sleep(60)
"""
HOOK_THREAD = """
@svc.on_shutdown
def down() -> None:
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_R5_a_signal_during_start_up_ends_it_with_0(evox_run: Run, backend: str, number: signal.Signals) -> None:
    process = evox_run({"held.py": HEAD + STARTING}, "--json", "--backend", backend, env=SETTINGS)
    process.wait_error("second begins")
    signalled = process.kill(number)
    assert process.wait() == 0
    assert time.monotonic() < signalled + TIMEOUT + 1.0


def test_R3_a_signal_during_start_up_still_runs_the_shutdown_hooks_of_what_started(evox_run: Run, backend: str) -> None:
    process = evox_run({"held.py": HEAD + STARTING}, "--json", "--backend", backend, env=SETTINGS)
    process.wait_error("second begins")
    process.kill(signal.SIGTERM)
    process.wait()
    assert process.err.splitlines() == ["first is up", "second begins", "first is down"]


def test_R5_a_signal_while_a_start_up_hook_holds_a_thread_ends_within_the_deadline(evox_run: Run, backend: str) -> None:
    process = evox_run({"held.py": HEAD + STARTING_THREAD}, "--json", "--backend", backend, env=SETTINGS)
    process.wait_error("second begins")
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() in (0, 124)
    assert time.monotonic() < signalled + TIMEOUT + 1.0


def test_R4_a_background_task_is_cancelled_when_the_service_drains(evox_run: Run, backend: str) -> None:
    process = evox_run({"held.py": HEAD + TASK}, "--json", "--backend", backend, env=SETTINGS)
    process.wait_error("works")
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() < signalled + TIMEOUT + 1.0


@pytest.mark.parametrize("code", [TASK_THREAD, JOB_THREAD], ids=["background task", "job"])
def test_V3_a_thread_that_is_stuck_outside_a_request_is_ended_within_the_deadline(
    evox_run: Run, backend: str, code: str
) -> None:
    process = evox_run({"held.py": HEAD + code}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    process.wait_error("works")
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 124
    assert time.monotonic() < signalled + TIMEOUT + 1.0


def test_R3_a_shutdown_hook_that_raises_is_logged_and_the_exit_code_is_0(evox_run: Run, backend: str) -> None:
    process = evox_run({"held.py": HEAD + HOOK_RAISES}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    assert process.end() == 0
    assert "the hook failed" in process.err


def test_R3_a_lifespan_that_raises_at_its_end_is_the_users_error_and_not_an_internal_one(
    evox_run: Run, backend: str
) -> None:
    process = evox_run({"held.py": HEAD + LIFESPAN_RAISES}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    assert process.end() in (0, 1)
    assert "the lifespan failed" in process.err
    assert process.events[-1]["event"] == "stopped"


def test_R3_a_shutdown_hook_that_hangs_is_cancelled_after_its_time(evox_run: Run, backend: str) -> None:
    process = evox_run({"held.py": HEAD + HOOK_HANGS}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() < signalled + DELAY + 0.5 + 1.0
    assert "did not finish within 0.5 s" in process.err


def test_R3_a_shutdown_hook_that_holds_a_thread_ends_the_same_on_both_loops(evox_run: Run, backend: str) -> None:
    process = evox_run({"held.py": HEAD + HOOK_THREAD}, "--json", "--backend", backend, env=SETTINGS)
    process.event("started")
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 124
    assert time.monotonic() < signalled + DELAY + 0.5 + 1.0
    assert [one["event"] for one in process.events] == ["started", "draining", "stopped"]


CRASHING = """
from evox import service

svc = service("crashing").port(0).restart(max_restarts=1, backoff=0.01)


@svc.background_task(on_error="fail_service", max_restarts=0)
async def task() -> None:
    raise ValueError("it cannot work")
"""


def test_R2_a_process_whose_only_service_is_given_up_ends_with_1(evox_run: Run, backend: str) -> None:
    process = evox_run({"crashing.py": CRASHING}, "--json", "--backend", backend, env=SETTINGS)
    assert process.wait() == 1
    assert process.events[-1]["event"] == "stopped"
    assert "EVX-404" in process.err
    assert "it cannot work" in process.err


SIBLINGS = """
import anyio

from evox import service

steady = service("steady").port(0)
failing = service("failing").port(0).restart(max_restarts=0)


@steady.get("/")
async def root() -> str:
    return "steady"


@failing.background_task(on_error="fail_service", max_restarts=0)
async def task() -> None:
    raise ValueError("it cannot work")
"""


def test_R2_a_service_that_is_given_up_does_not_end_its_sibling(evox_run: Run, backend: str) -> None:
    process = evox_run({"siblings.py": SIBLINGS}, "--json", "--backend", backend, env=SETTINGS)
    process.wait_error("EVX-404")
    with HttpSocket(process.address("failing")) as failing, HttpSocket(process.address("steady")) as steady:
        assert failing.get("/").status == 503
        assert failing.get("/health/live").status == 503
        assert steady.get("/").status == 200
    assert process.end() == 0
