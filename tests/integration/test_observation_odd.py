"""What users make and log may be odd in every way: it is seen all the same, and hides nothing else."""

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Request, Response
from starlette.testclient import TestClient

from evox import Service, ServiceBuilder
from evox.errors.words import named_words_of
from evox.observe import look
from evox.observe.answers import as_json
from evox.services.observing import VIEWS, view_path
from evox.testing import running

CANNOT = "Mute: it cannot be shown: its own __str__ fails"


class Mute(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Let no handler of the tests write what cannot be written."""
    logger = logging.getLogger("evox")
    logger.propagate = False
    yield
    logger.propagate = True


async def test_errors_that_cannot_be_shown_are_told_of_and_crash_nothing() -> None:
    svc, ran = ServiceBuilder("users"), anyio.Event()

    @svc.get("/broken")
    async def broken() -> None:
        raise Mute

    @svc.background_task(interval="1h", on_error="log")
    async def tidy() -> None:
        ran.set()
        raise Mute

    @svc.health_check("database")
    async def database() -> bool:
        raise Mute

    async with running(svc, raise_errors=False) as env:
        client = env.client(svc)
        with anyio.fail_after(5):
            await ran.wait()
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/health/ready")).status_code == 503
        seen = (await client.get("/_evox/snapshot")).json()
        (state,) = seen["services"]
        assert (state["state"], state["starts"]) == ("READY", 1)
        assert {one["kind"]: one["reason"] for one in seen["incidents"]} == {
            "endpoint": CANNOT,
            "task": CANNOT,
            "check": CANNOT,
        }


async def test_half_a_character_spoils_no_view() -> None:
    svc = ServiceBuilder("users")
    seen: list[Any] = []

    @svc.get("/file")
    async def file() -> None:
        raise FileNotFoundError("caf\udce9.txt")

    @svc.get("/look")
    async def look_at() -> None:
        seen.extend(look().incidents)

    async with running(svc, raise_errors=False) as env:
        client = env.client(svc)
        await client.get("/file")
        for view in VIEWS:
            assert (await client.get(view_path(view))).status_code == 200, view
        await client.get("/look")
        assert [one.reason for one in seen] == ["FileNotFoundError: caf?.txt"]


def test_what_is_no_json_is_named_and_hides_nothing_else() -> None:
    odd = {"bytes": b"x", "huge": 10**5_000, "inf": float("inf"), "text": "\ud800", "set": {1}, 1: [True, None, 1.5]}
    said = as_json(odd).body
    assert said == b'{"bytes":"<bytes>","huge":null,"inf":null,"text":"?","set":"<set>","1":[true,null,1.5]}'


def test_an_error_of_a_hundred_megabytes_is_cut() -> None:
    assert len(named_words_of(ValueError("x" * 100_000_000))) < 200_000


async def test_of_very_many_jobs_the_first_are_named_and_all_are_counted() -> None:
    svc = ServiceBuilder("users")

    ended = anyio.Event()

    @svc.get("/jobs")
    async def jobs() -> None:
        for number in range(3_000):
            svc.start_soon(ended.wait, name=f"send?token=hunter{number}")

    with anyio.fail_after(15):
        async with running(svc) as env:
            client = env.client(svc)
            await client.get("/jobs")
            reply = await client.get("/_evox/snapshot")
            (state,) = reply.json()["services"]
            assert (len(state["jobs"]["running"]), state["jobs"]["count"]) == (1_000, 3_000)
            assert "hunter" not in reply.text
            assert 'evox_jobs_running{service="users"} 3000.0' in (await client.get("/_evox/metrics")).text
            ended.set()


async def test_what_fails_before_an_endpoint_is_reached_is_one_incident_for_all_paths() -> None:
    app = FastAPI()

    @app.middleware("http")
    async def fail(_: Request, __: Any) -> Response:
        raise ConnectionError("the session store is gone")

    svc = Service.from_fastapi(app, name="legacy")
    async with running(svc, raise_errors=False) as env:
        for number in range(5):
            await env.client(svc).get(f"/reset/s3cr3t{number}")
        reply = await env.client("legacy").get("/_evox/errors")
        (one,) = reply.json()["incidents"]
        assert (one["subject"], one["count"]) == ("GET (none was reached)", 5)
        assert one["reason"] == "ConnectionError: the session store is gone"


def test_under_another_server_what_fails_is_seen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOX_OBSERVE__ACCESS", "loopback")
    svc = ServiceBuilder("users")

    @svc.get("/broken")
    async def broken() -> None:
        raise ConnectionError("no database")

    with TestClient(
        svc.app, base_url="http://localhost", client=("127.0.0.1", 50_000), raise_server_exceptions=False
    ) as client:
        for _ in range(3):
            assert client.get("/broken").status_code == 500
        (one,) = client.get("/_evox/errors").json()["incidents"]
        assert (one["kind"], one["subject"], one["count"]) == ("endpoint", "broken", 3)
