"""O3: what goes wrong in a running process is told with its reason, and as recovered once it is over; no secret is."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx2
import pytest
from tests.forked import ended
from tests.support import LIVENESS, EvoxProcess, Run

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlc2lnbmF0dXJl"
PASSWORD = "hunter2hunter2"
SHOP = f"""
import logging

import anyio
from evox import service

svc = service("shop").port(0)
state = {{"bad": False}}
hold = anyio.Event()
log = logging.getLogger("shop")


@svc.get("/prices", cache=0.01, fallback="aggressive", max_stale="1h")
async def prices() -> list[int]:
    if state["bad"]:
        raise OSError("no answer of postgresql://ada:{PASSWORD}@db/prices")
    return [1, 2]


@svc.background_task(interval=0.1)
async def sweep() -> None:
    if state["bad"]:
        log.warning("the bearer {JWT} is over")
        raise ValueError("the disk is full")


@svc.get("/slow", priority="low")
async def slow() -> str:
    await hold.wait()
    return "done"


@svc.post("/bad/{{on}}")
async def bad(on: bool) -> bool:
    state["bad"] = on
    return on


@svc.post("/release")
async def release() -> str:
    hold.set()
    return "released"
"""
SETTINGS = """
[priority]
low = 1
queue = { low = 0 }

[data]
throttle = 0.1
"""


@pytest.fixture
def place() -> Iterator[dict[str, str]]:
    folder = mkdtemp(prefix="evox-", dir="/tmp")  # short enough for the paths of sockets
    yield {"XDG_RUNTIME_DIR": folder, "NO_COLOR": "1"}
    shutil.rmtree(folder, ignore_errors=True)


def health(folder: Path, env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ended("health", *arguments, cwd=folder, env=env)


def snapshot(env: dict[str, str]) -> dict[str, Any]:
    """Return what the process says at its private socket."""
    [socket] = Path(env["XDG_RUNTIME_DIR"]).glob("evox/*.sock")
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket)), base_url="http://localhost") as client:
        found: dict[str, Any] = client.get("/snapshot").json()
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask again and again until something holds."""
    end = time.monotonic() + LIVENESS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def wrong_now(env: dict[str, str]) -> set[str]:
    """Return the kinds of incidents that go on."""
    return {one["kind"] for one in snapshot(env)["incidents"] if one["until"] is None}


def low_seats(env: dict[str, str]) -> int:
    """Return how many calls of level low run."""
    [one] = [one for one in snapshot(env)["queues"][0]["levels"] if one["level"] == "low"]
    return int(one["in_use"])


@contextmanager
def everything_wrong(process: EvoxProcess, env: dict[str, str]) -> Iterator[None]:
    """Let a source fail, a queue be full and a task crash, for the time of a block."""
    with process.client() as client, process.client() as other:
        assert client.get("/prices").json() == [1, 2]
        holding = threading.Thread(target=other.get, args=("/slow",))
        holding.start()
        try:
            wait_until(lambda: low_seats(env) == 1)
            assert client.get("/slow").status_code == 503
            client.post("/bad/true")
            wait_until(lambda: client.get("/prices").json() == [1, 2] and wrong_now(env) == {"source", "queue", "task"})
            yield
        finally:
            client.post("/release")
            client.post("/bad/false")
            holding.join(LIVENESS)
        wait_until(lambda: client.get("/prices").json() == [1, 2] and wrong_now(env) == set())


def test_O3_a_failing_source_a_full_queue_and_a_crashed_task_are_told_and_then_told_as_recovered(
    evox_run: Run, place: dict[str, str], backend: str
) -> None:
    files = {"evox.toml": SETTINGS, "shop.py": SHOP}
    process = evox_run(files, "shop.py", "--json", "--backend", backend, env=place)
    process.event("started")
    with everything_wrong(process, place):
        wrong = health(process.folder, place, "--strict")
    assert (wrong.returncode, wrong.stderr) == (3, "")
    assert wrong.stdout.startswith("evox health: yellow")
    now = " ".join(wrong.stdout.partition("Services")[0].split())
    for text in ("old copies are served: OSError: no answer of", "the queue of level low is full", "the disk is full"):
        assert text in now
    over = health(process.folder, place, "--strict")
    assert (over.returncode, over.stderr) == (0, "")
    told = " ".join(over.stdout.partition("Recovered")[2].partition("Services")[0].split())
    for text in (
        "over shop: the source of",
        "over shop: level low",
        "over shop: task sweep fails",
        "the disk is full",
        ", for ",
    ):
        assert text in told


def test_A4_no_secret_of_an_error_or_a_log_line_is_in_any_form_of_the_report(
    evox_run: Run, place: dict[str, str]
) -> None:
    process = evox_run({"evox.toml": SETTINGS, "shop.py": SHOP}, "shop.py", "--json", env=place)
    process.event("started")
    with everything_wrong(process, place):
        forms = [health(process.folder, place, *arguments).stdout for arguments in ([], ["--json"])]
        health(process.folder, place, "--output", "page.html")
    forms.append((process.folder / "page.html").read_text(encoding="utf-8"))
    for text in forms:
        assert PASSWORD not in text
        assert JWT.split(".")[1] not in text
        assert "postgresql://***@db/prices" in text.replace("\n", "").replace(" ", "")
    assert "the bearer *** is over" in forms[1]
    assert "the bearer *** is over" in forms[2]
