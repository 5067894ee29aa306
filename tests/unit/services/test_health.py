"""Health: what each probe answers in each state of a service, in which form, and where."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from evox import Service, ServiceBuilder
from evox.orchestrator import Host
from evox.runtime import State
from evox.services import Scope
from evox.testing import AppTransport, running

PROBES = ("/health", "/health/live", "/health/ready", "/health/startup")


class Slow(ServiceBuilder):
    """A service whose start-up goes on until ``gate`` is set, and which crashes when ``crash`` is."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.gate, self.crash = anyio.Event(), anyio.Event()
        self.on_startup(self.gate.wait)

        @self.background_task(on_error="fail_service")
        async def crashes() -> None:
            await self.crash.wait()
            raise ValueError("the disk is full")


@asynccontextmanager
async def hosted(svc: Service) -> AsyncIterator[tuple[Host, httpx2.AsyncClient]]:
    """Run a service below its host, and let the test see every state of it."""
    host = Host(svc, Scope())
    async with (
        anyio.create_task_group() as group,
        httpx2.AsyncClient(transport=AppTransport(host, group), base_url="http://a") as client,
    ):
        group.start_soon(host.run)
        try:
            with anyio.fail_after(10):
                yield host, client
        finally:
            host.stop()
            group.cancel_scope.cancel()


async def statuses(client: httpx2.AsyncClient) -> list[int]:
    return [(await client.get(path)).status_code for path in PROBES]


async def test_while_starting_a_service_is_live_and_nothing_else() -> None:
    async with hosted(Slow()) as (host, client):
        await host.lifecycle.wait_state(State.STARTING)
        assert await statuses(client) == [503, 200, 503, 503]
        assert (await client.get("/health")).json()["notes"] == ["state: STARTING"]


async def test_a_ready_service_passes_every_probe() -> None:
    svc = Slow()
    svc.gate.set()
    async with hosted(svc) as (host, client):
        await host.lifecycle.wait_state(State.READY)
        assert await statuses(client) == [200, 200, 200, 200]


async def test_a_draining_service_is_live_and_started_but_not_ready() -> None:
    async with running(ServiceBuilder("a")) as env:
        client = env.client("a")
        env.host("a").drain()
        assert await statuses(client) == [503, 200, 503, 200]
        assert (await client.get("/health/ready")).json()["notes"] == ["state: DRAINING"]


async def test_a_service_that_waits_to_be_restarted_is_live_but_not_ready() -> None:
    svc = Slow().restart(backoff=3600)
    svc.gate.set()
    async with hosted(svc) as (host, client):
        await host.lifecycle.wait_state(State.READY)
        svc.crash.set()
        await host.lifecycle.wait_state(State.RESTARTING)
        assert await statuses(client) == [503, 200, 503, 200]


async def test_a_service_that_was_given_up_is_not_live_and_does_not_say_why() -> None:
    svc = Slow().restart(max_restarts=0)
    svc.gate.set()
    async with hosted(svc) as (host, client):
        await host.lifecycle.wait_state(State.READY)
        svc.crash.set()
        await host.lifecycle.wait_state(State.FAILED)
        assert await statuses(client) == [503, 503, 503, 200]
        assert "disk" not in (await client.get("/health")).text


async def test_a_background_task_that_was_given_up_is_a_warning() -> None:
    svc = ServiceBuilder("a")

    @svc.background_task(name="sync", max_restarts=0)
    async def fails() -> None:
        raise ValueError("the disk is full")

    async with running(svc, raise_errors=False) as env:
        with anyio.fail_after(10):
            await env.service(svc).runners[0].ended.wait()
        reply = await env.client(svc).get("/health")
        assert (reply.status_code, reply.json()["status"]) == (200, "warn")
        assert reply.json()["checks"] == {"background:sync": [{"status": "fail"}]}
        assert (await env.client(svc).get("/health/ready")).json()["status"] == "pass"


async def test_the_body_is_health_json() -> None:
    async with running(ServiceBuilder("a", version="1.2.3")) as env:
        reply = await env.client("a").get("/health")
    assert reply.headers["content-type"] == "application/health+json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json() == {"status": "pass", "serviceId": "a", "version": "1.2.3", "notes": ["state: READY"]}


@pytest.mark.parametrize("path", PROBES)
async def test_a_caller_without_an_accept_header_gets_one_word(path: str) -> None:
    async with running(ServiceBuilder("a")) as env:
        client = env.client("a")
        del client.headers["accept"]
        reply = await client.get(path)
        env.host("a").drain()
        after = (await client.get("/health/ready")).text
    assert reply.headers["content-type"].startswith("text/plain")
    assert (reply.text, after) == ("pass", "fail")


@pytest.mark.parametrize(
    ("base", "paths"),
    [
        ("/status", ["/status", "/status/live", "/status/ready", "/status/startup"]),
        ("/status/", ["/status", "/status/live", "/status/ready", "/status/startup"]),
        ("/a/b", ["/a/b", "/a/b/live", "/a/b/ready", "/a/b/startup"]),
        ("/", ["/", "/live", "/ready", "/startup"]),
    ],
)
async def test_health_can_be_moved(base: str, paths: list[str]) -> None:
    async with running(ServiceBuilder("a").health(base)) as env:
        client = env.client("a")
        assert [(await client.get(path)).json()["status"] for path in paths] == ["pass"] * 4
        assert (await client.get("/health")).status_code == 404


async def test_moved_health_is_answered_while_starting_too() -> None:
    async with hosted(Slow().health("/status")) as (host, client):
        await host.lifecycle.wait_state(State.STARTING)
        assert (await client.get("/status/live")).status_code == 200
        assert (await client.get("/health/live")).status_code == 503


async def test_other_paths_are_503_with_retry_after_while_starting() -> None:
    svc = Slow()
    svc.get("/x")(lambda: "answer")
    async with hosted(svc) as (host, client):
        await host.lifecycle.wait_state(State.STARTING)
        reply = await client.get("/x")
        assert (reply.status_code, reply.json()["type"]) == (503, "urn:evox:error:EVX-602")
        assert int(reply.headers["retry-after"]) >= 1


async def test_health_is_never_swallowed_and_never_documented() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/{anything:path}")
    async def catch_all(anything: str) -> str:
        return anything

    async with running(svc) as env:
        client = env.client(svc)
        assert await statuses(client) == [200, 200, 200, 200]
        assert (await client.get("/health")).json()["serviceId"] == "a"
        assert (await client.get("/healthy")).json() == "healthy"
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    assert list(document["paths"]) == ["/{anything}"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_health_is_for_reading_only(method: str) -> None:
    async with running(ServiceBuilder("a")) as env:
        reply = await env.client("a").request(method, "/health")
    assert (reply.status_code, set(reply.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
