"""``evox status`` and ``evox tasks`` beside ``evox run``: what runs here, for people and for scripts."""

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest
from tests.cli.conftest import Evox
from tests.support import LIVENESS, Run, command, environment

SHOP = """
from evox import service

svc = service("shop").port(0)


@svc.background_task(interval=3600)
async def tidy() -> None: ...


@svc.get("/")
async def root() -> str:
    return "here"
"""
BROKEN = """
from evox import service

svc = service("broken").port(0)


@svc.health_check("db")
async def db() -> bool:
    return False
"""


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_each_service_is_a_line(evox_run: Run, evox: Evox, place: dict[str, str], backend: str) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", "--backend", backend, env=place)
    with run.client() as client:
        client.get("/")
        client.get("/")
    done = evox("status")
    assert (done.returncode, done.stderr) == (0, "")
    head, line = done.stdout.splitlines()[:2]
    assert head.split() == ["service", "state", "url", "pid", "loop", "up", "calls", "errors", "p95", "open", "waiting"]
    assert line.split()[:5] == ["shop", "READY", run.url(), str(run.process.pid), backend]
    said = json.loads(evox("status", "--json").stdout)
    assert (said["schema"], said["ok"], said["unseen"]) == (1, True, [])
    (one,) = said["services"]
    assert (one["name"], one["state"], one["ready"], one["calls"], one["errors"]) == ("shop", "READY", True, 2, 0)
    assert (one["url"], one["pid"], one["loop"], one["waiting"]) == (run.url(), run.process.pid, backend, 0)


def test_what_is_not_ready_is_said_and_ends_with_1(evox_run: Run, evox: Evox, place: dict[str, str]) -> None:
    run = evox_run({"shop.py": SHOP, "broken.py": BROKEN}, "--json", env=place)
    with run.client("broken") as client:
        assert client.get("/health/ready").status_code == 503
    said = evox("status", "--json")
    assert said.returncode == 1
    assert {one["name"]: one["ready"] for one in json.loads(said.stdout)["services"]} == {"shop": True, "broken": False}


def test_a_process_that_does_not_answer_is_named(evox_run: Run, evox: Evox, place: dict[str, str]) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", env=place)
    run.event("started")
    os.kill(run.process.pid, signal.SIGSTOP)
    try:
        done = evox("status")
        trees = evox("tasks", "--json")
    finally:
        os.kill(run.process.pid, signal.SIGCONT)
    assert done.returncode == trees.returncode == 1
    assert f"pid {run.process.pid}: shop" in done.stdout
    assert "no answer" in done.stdout
    assert "no answer" in json.loads(trees.stdout)["processes"][0]["error"]


def test_where_nothing_runs_it_says_so(evox: Evox) -> None:
    for name in ("status", "tasks"):
        done = evox(name)
        assert (done.returncode, done.stdout) == (1, "")
        assert "EVX-303" in done.stderr


def test_watched_it_goes_on_until_ctrl_c_and_outlives_what_it_watches(evox_run: Run, place: dict[str, str]) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", env=place)
    run.event("started")
    with subprocess.Popen(
        command("status", "--watch", "--every", "0.2", "--json"),
        cwd=run.folder,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        seen: list[dict[str, Any]] = [json.loads(watching.stdout.readline()) for _ in range(2)]
        assert [one["services"][0]["name"] for one in seen] == ["shop", "shop"]
        run.process.send_signal(signal.SIGTERM)
        run.process.wait(LIVENESS)
        end = time.monotonic() + LIVENESS
        while json.loads(watching.stdout.readline())["services"]:
            assert time.monotonic() < end
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=LIVENESS)
        assert (watching.returncode, errors) == (130, "")


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_tasks_are_trees_and_those_of_a_service_can_be_picked(
    evox_run: Run, evox: Evox, place: dict[str, str], backend: str
) -> None:
    run = evox_run(
        {"shop.py": SHOP, "other.py": SHOP.replace("shop", "other")}, "--json", "--backend", backend, env=place
    )
    run.event("started")
    done = evox("tasks")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.lstrip(" │├└─") for line in done.stdout.splitlines()]
    assert lines[0].startswith(f"pid {run.process.pid}: ")
    assert {"svc:shop", "svc:other", "svc:shop/bg:tidy", "listener:shop", "listener:control"} <= set(lines)
    picked = evox("tasks", "--service", "shop").stdout
    assert "svc:shop/bg:tidy" in picked
    assert "other/" not in picked
    (process,) = json.loads(evox("tasks", "--json").stdout)["processes"]
    assert process["pid"] == run.process.pid
    assert process["tree"]["count"] >= 8
    missing = evox("tasks", "--service", "shopp")
    assert missing.returncode == 2
    assert "shopp" in missing.stderr
