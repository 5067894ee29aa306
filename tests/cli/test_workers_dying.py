"""Workers that die: only what they held is lost, others take their place, and no broken code becomes a hot loop."""

import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from tests.support import EvoxProcess, HttpSocket, Run, pids_of

CLIENTS, REQUESTS = 20, 4
SERVES_AGAIN = 10.0  # seconds; it is half a second of backoff and a start, on a machine that does nothing else
QUICK = {
    "EVOX_SERVING__DRAIN_DELAY": "0.2s",
    "EVOX_SERVING__DRAIN_TIMEOUT": "1s",
    "EVOX_SERVING__STREAM_GRACE": "0.5s",
    "EVOX_RUNTIME__SHUTDOWN_TIMEOUT": "0.3s",
    "EVOX_RUNTIME__BACKOFF": "0.2s",
}
SHOP = """
import os
import time

import anyio

from evox import service

svc = service("shop").port(0)


@svc.get("/pid")
async def pid() -> int:
    await anyio.sleep(0.1)
    return os.getpid()


@svc.get("/exit/{code}")
async def leave(code: int) -> None:
    os._exit(code)


@svc.get("/fork")
async def fork() -> int:
    child = os.fork()
    if not child:
        os.closerange(0, 3)  # the pipe that the test reads to its end
        time.sleep(60)
        os._exit(0)
    return os.getpid()
"""
FIRST_DIES = """
import os

import anyio

from evox import service

svc = service("shop").port(0)


@svc.on_startup
async def begin() -> None:
    try:
        open("first", "x").close()
    except FileExistsError:
        open("second", "a").close()
        await anyio.sleep(0.5)


@svc.background_task()
async def die() -> None:
    while not os.path.exists("second"):
        await anyio.sleep(0.01)
    try:
        open("dead", "x").close()
    except FileExistsError:
        await anyio.sleep_forever()
    os._exit(9)
"""
BROKEN = "from evox import service\n\n\ndef broken(:\n"


def start(run: Run, *arguments: str, env: dict[str, str] | None = None) -> EvoxProcess:
    return run({"shop.py": SHOP}, "--workers", "2", "--json", *arguments, env={**QUICK, **(env or {})})


def workers(process: EvoxProcess) -> list[int]:
    return list(process.event("started")["workers"])


def said(process: EvoxProcess) -> list[tuple[str, int | None]]:
    return [(event["what"], event["pid"]) for event in process.events if event["event"] == "worker"]


def kill(process: EvoxProcess, pid: int) -> None:
    assert pid in pids_of(process.mark)
    os.kill(pid, signal.SIGKILL)


def ask(process: EvoxProcess, path: str) -> None:
    """Send a request that ends the worker which takes it."""
    with HttpSocket(process.address()) as connection, pytest.raises((OSError, http.client.HTTPException)):
        connection.get(path)


@dataclass
class Load:
    """What clients saw.

    Attributes:
        answers: Time and process of each answer.
        refused: Connections that were not made.
        lost: Time and process of each request without an answer; None where its connection had no answer before.
    """

    answers: list[tuple[float, int]] = field(default_factory=list)
    refused: list[OSError] = field(default_factory=list)
    lost: list[tuple[float, int | None]] = field(default_factory=list)

    def wait(self, pid: int, *, until: float) -> None:
        while not any(one == pid for _, one in self.answers):
            assert time.monotonic() < until, f"{pid} gave none of {len(self.answers)} answers"
            time.sleep(0.01)


@contextmanager
def load(process: EvoxProcess) -> Iterator[Load]:
    """Keep clients asking: each makes connection after connection, and a few requests on each."""
    seen, over, address = Load(), threading.Event(), process.address()

    def client() -> None:
        while not over.is_set():
            try:
                connection = HttpSocket(address)
            except OSError as error:
                seen.refused.append(error)
                continue
            with connection:
                holder: int | None = None
                for _ in range(REQUESTS):
                    try:
                        holder = int(connection.get("/pid").body)
                    except (OSError, http.client.HTTPException):
                        seen.lost.append((time.monotonic(), holder))
                        break
                    seen.answers.append((time.monotonic(), holder))

    clients = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    try:
        yield seen
    finally:
        over.set()
        for one in clients:
            one.join(15)


def by_signal(process: EvoxProcess, seen: Load) -> int:
    victim = workers(process)[0]
    seen.wait(victim, until=time.monotonic() + 10)
    kill(process, victim)
    return victim


def by_itself(process: EvoxProcess, seen: Load) -> int:
    for pid in workers(process):
        seen.wait(pid, until=time.monotonic() + 10)
    ask(process, "/exit/3")
    number: int = process.event("worker")["number"]
    return workers(process)[number - 1]


@pytest.mark.parametrize(
    ("end", "how"), [(by_signal, "was ended by SIGKILL"), (by_itself, "ended with 3")], ids=["kill -9", "os._exit"]
)
def test_only_what_a_dead_worker_held_is_lost_and_a_new_one_answers_soon(
    evox_run: Run, backend: str, end: Callable[[EvoxProcess, Load], int], how: str
) -> None:
    process = start(evox_run, "--backend", backend)
    with load(process) as seen:
        before = time.monotonic()
        dead = end(process, seen)
        died = time.monotonic()
        new = process.event("worker", count=2)["pid"]
        seen.wait(new, until=died + SERVES_AGAIN)
        time.sleep(0.2)
    assert seen.refused == []
    assert {holder for _, holder in seen.lost} <= {dead, None}
    assert all(before < when < died + 1.0 for when, _ in seen.lost)
    assert len(seen.lost) <= CLIENTS
    assert {pid for when, pid in seen.answers if when > died + 0.2} == {*workers(process), new} - {dead}
    (first, no_pid), (second, pid) = said(process)
    assert first.startswith(f"{how}; a new one starts in")
    assert (no_pid, second, pid) == (None, f"is pid {new}", new)
    assert process.end() == 0
    assert pids_of(process.mark) == []


def test_a_worker_is_replaced_although_a_process_that_it_forked_goes_on(evox_run: Run) -> None:
    process = start(evox_run)
    victim = process.get("/fork").json()
    kill(process, victim)
    assert process.event("worker", count=2, timeout=5)["pid"] not in (None, victim)
    assert process.end() == 0


def test_a_worker_that_was_told_to_end_is_replaced(evox_run: Run) -> None:
    process = start(evox_run)
    os.kill(workers(process)[0], signal.SIGTERM)
    assert process.event("worker")["what"].startswith("ended with 0; a new one")
    assert process.event("worker", count=2)["pid"] is not None


def test_workers_that_die_again_and_again_are_given_up_with_exit_1_and_a_line(evox_run: Run) -> None:
    process = start(evox_run, env={"EVOX_RUNTIME__MAX_RESTARTS": "1", "EVOX_RUNTIME__BACKOFF": "0.05s"})
    address = process.address()
    while process.process.poll() is None:
        try:
            with HttpSocket(address) as connection:
                connection.get("/exit/3")
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
    assert process.wait() == 1
    assert "given up: workers failed 3 times in 60 s" in said(process)[-1][0]
    assert process.event("stopped")["code"] == 1
    assert pids_of(process.mark) == []


def test_R4_a_worker_that_cannot_start_again_is_tried_with_growing_delays_while_others_serve(evox_run: Run) -> None:
    process = start(evox_run)
    victim, other = workers(process)
    (process.folder / "shop.py").write_text(BROKEN, encoding="utf-8")
    kill(process, victim)
    process.event("worker", count=4)
    assert process.get("/pid").json() == other
    delays = [float(re.findall(r"starts in ([\d.]+) s", what)[0]) for what, _ in said(process)]
    assert delays == sorted(set(delays))
    (process.folder / "shop.py").write_text(SHOP, encoding="utf-8")
    while process.event("worker", count=len(said(process)) + 1)["pid"] is None:
        assert len(said(process)) < 10
    assert process.end() == 0


def test_R5_a_signal_while_a_worker_is_being_replaced_ends_with_0(evox_run: Run) -> None:
    process = start(evox_run)
    before = {process.process.pid, *workers(process)}
    (process.folder / "shop.py").write_text(f"import time\ntime.sleep(10)\n{SHOP}", encoding="utf-8")
    kill(process, workers(process)[0])
    process.event("worker")
    end = time.monotonic() + 5
    while not set(pids_of(process.mark)) - before:
        assert time.monotonic() < end
        time.sleep(0.01)
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() < signalled + 2.0
    assert pids_of(process.mark) == []


def test_R5_a_signal_while_the_next_start_is_waited_for_ends_at_once(evox_run: Run) -> None:
    process = start(evox_run, env={"EVOX_RUNTIME__BACKOFF": "30s"})
    for pid in workers(process):
        kill(process, pid)
    assert process.event("worker", count=2)
    signalled = process.kill(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() < signalled + 2.0


def test_V3_a_worker_that_does_not_react_is_ended_and_named(evox_run: Run) -> None:
    process = start(evox_run)
    stopped = workers(process)[0]
    os.kill(stopped, signal.SIGSTOP)
    assert process.end() == 124
    assert process.event("stopped")["cut_requests"] == [f"worker with pid {stopped}"]
    assert pids_of(process.mark) == []


def test_a_worker_that_dies_before_the_others_have_started_is_replaced_and_the_rest_is_said(evox_run: Run) -> None:
    process = evox_run({"shop.py": FIRST_DIES}, "--workers", "2", "--json", env=QUICK)
    assert len(workers(process)) == 2
    assert process.event("worker")["what"].startswith("ended with 9")
    assert process.event("worker", count=2)["what"].startswith("is pid")
    assert process.get("/pid").status_code == 404  # it serves
    assert process.end() == 0
