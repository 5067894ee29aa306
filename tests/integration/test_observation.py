"""O1: what every service shows of itself, by GET alone, and that it is true."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from evox import Body, Service, ServiceBuilder
from evox.core import data_io, proxy
from evox.observe import Snapshot, look
from evox.observe.management import management_app
from evox.observe.manager import Sessions, dashboard_service
from evox.services.observing import VIEWS, view_path
from evox.testing import Env, running


class Source:
    """Something that can fail."""

    def __init__(self) -> None:
        self.works = True

    def ask(self) -> int:
        if not self.works:
            raise ConnectionError("the rate server does not answer")
        return 7


def shop() -> tuple[ServiceBuilder, ServiceBuilder, Source]:
    """Make two services that have something of everything."""
    users, orders, source = ServiceBuilder("users", version="1.2.0"), ServiceBuilder("orders"), Source()

    @users.get("/users/{user_id}", priority="high")
    async def get_user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    @users.get("/rates", cache="1ms", fallback="aggressive", max_stale="1h")
    async def rates() -> int:
        return source.ask()

    @users.get("/broken")
    async def broken() -> None:
        source.ask()
        raise ValueError("it is broken")

    @users.put("/kept/{key}", idempotency="1h")
    async def keep(key: str, value: str = Body(embed=True)) -> None:
        await data_io.write(key, value)

    @users.background_task(interval="1h", on_error="log", start_after="1h")
    async def tidy() -> None: ...

    @users.health_check("database")
    async def database() -> bool:
        return source.works

    @orders.get("/orders/{order_id}")
    async def get_order(order_id: int) -> dict[str, Any]:
        return {"id": order_id, "user": await proxy.users.get_user(order_id)}

    return users, orders, source


async def view(env: Env, name: str, service: str = "users") -> Any:
    reply = await env.client(service).get(view_path(name))
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_O1_every_view_is_answered_with_json_that_nobody_keeps() -> None:
    users, orders, _ = shop()
    async with running(users, orders) as env:
        for name in set(VIEWS) - {"metrics"}:
            reply = await env.client(users).get(view_path(name))
            assert (name, reply.status_code, reply.headers["cache-control"]) == (name, 200, "no-store")
            assert reply.headers["x-content-type-options"] == "nosniff"
            json.loads(reply.text, parse_constant=pytest.fail)


async def test_O1_a_snapshot_has_its_form_and_tells_what_happened() -> None:
    users, orders, _ = shop()
    async with running(users, orders) as env:
        for number in range(3):
            assert (await env.client(orders).get(f"/orders/{number}")).status_code == 200
        found = Snapshot.model_validate(await view(env, "snapshot"))
        assert (found.level, [one.state for one in found.services]) == ("pass", ["READY", "READY"])
        calls = {(one.service, one.endpoint, one.origin): one for one in found.calls}
        assert calls["orders", "get_order", "http"].statuses == {"200": 3}
        assert calls["users", "get_user", "internal"].count == 3
        (line,) = found.proxy.lines
        assert (line.service, line.kind, line.callers) == ("users", "local", {"orders": 3})
        assert (found.proxy.internal, found.proxy.external) == (3, 0)
        medium = found.queues[0].levels[1]
        assert (medium.level, medium.admitted) == ("medium", 3)


async def test_O1_mappings_tell_what_was_declared() -> None:
    users, orders, _ = shop()
    async with running(users, orders) as env:
        found = {one["name"]: one for one in await view(env, "mappings")}
        assert found["get_user"]["priority"] == "high"
        assert (found["get_user"]["method"], found["get_user"]["path"]) == ("GET", "/users/{user_id}")
        assert found["rates"]["intent"]["fallback"] == "aggressive"
        assert found["keep"]["idempotency"] == 3600
        assert found["get_user"]["place"].endswith(".py:" + found["get_user"]["place"].rpartition(":")[2])


async def test_O1_the_others_tell_of_tasks_of_data_and_of_the_start() -> None:
    users, orders, _ = shop()
    async with running(users, orders) as env:
        client = env.client(users)
        assert (await client.put("/kept/a", json={"value": "x"}, headers={"idempotency-key": "1"})).status_code == 200
        assert (await client.get("/rates")).status_code == 200
        (task,) = await view(env, "scheduled")
        assert (task["name"], task["state"], task["interval"], task["runs"]) == ("tidy", "waiting", 3600, 0)
        caches = await view(env, "caches")
        assert caches["reads"]["misses"] == 1
        assert caches["idempotency"]["kept"] == 1
        assert caches["memory"]["records"] >= 1
        assert any(one["of"] == "endpoint 'rates'" for one in await view(env, "intents"))
        assert [one["what"] for one in await view(env, "startup") if one["service"] == "users"] == [
            "NEW to STARTING",
            "STARTING to READY",
        ]
        tasks = await view(env, "tasks")
        assert "svc:users/bg:tidy" in json.dumps(tasks)
        about = await view(env, "info")
        assert (about["service"], about["version"], about["mode"]) == ("users", "1.2.0", "test")
        assert about["loop"] in ("trio", "asyncio")


async def test_O1_capabilities_are_for_everybody_and_tell_nothing_private() -> None:
    users = ServiceBuilder("users")

    @users.get("/secret", private=True)
    async def secret_one() -> None: ...

    @users.get("/open", priority="low")
    async def open_one() -> None: ...

    async with running(users, settings={"observe": {"access": "off"}}) as env:
        found = (await env.client(users).get("/capabilities")).json()
        assert (found["service"], found["health"]["live"]) == ("users", "/health/live")
        assert [one["name"] for one in found["operations"]] == ["open_one"]
        assert (found["management"]["access"], found["management"]["paths"]) == ("off", [])


async def test_capabilities_can_be_moved_and_left_out() -> None:
    moved = ServiceBuilder("moved").capabilities("/about")
    without = ServiceBuilder("without").capabilities(None)
    async with running(moved, without) as env:
        assert (await env.client(moved).get("/about")).status_code == 200
        assert (await env.client(moved).get("/capabilities")).status_code == 404
        assert (await env.client(without).get("/capabilities")).status_code == 404


def routes(app: Any) -> Iterator[Any]:
    for context in iter_route_contexts(app.routes):
        yield context.original_route


async def test_O1_only_GET_routes_exist_in_observation() -> None:
    users, _, _ = shop()
    async with running(users) as env:
        apps = [management_app(env.observation), dashboard_service(Sessions()).app]
        seen = [one for one in routes(users.app) if getattr(one, "path", "").startswith(("/_evox", "/capabilities"))]
        assert len(seen) == len(VIEWS) + 2  # what it can do, and for callers
        seen += [one for app in apps for one in routes(app) if hasattr(one, "methods")]
        assert [one.path for one in seen if not one.methods or not one.methods <= {"GET", "HEAD"}] == []
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for name in VIEWS:
                assert (await env.client(users).request(method, view_path(name))).status_code == 405


async def test_O2_metrics_parse_and_name_their_units() -> None:
    users, orders, source = shop()
    async with running(users, orders, raise_errors=False) as env:
        for number in range(5):
            await env.client(orders).get(f"/orders/{number}")
        await env.client(users).get("/rates")
        source.works = False
        await anyio.sleep(0.01)
        await env.client(users).get("/rates")
        await env.client(users).get("/broken")
        reply = await env.client(users).get("/_evox/metrics")
        assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        parse: Any = text_string_to_metric_families
        families = {one.name: one for one in parse(reply.text)}
        wanted = {
            "evox_call_duration_seconds",
            "evox_queue_wait_seconds",
            "evox_queue_oldest_wait_seconds",
            "evox_admissions",
            "evox_cache_reads",
            "evox_memory_size_bytes",
            "evox_breaker_state",
            "evox_breaker_open_seconds",
            "evox_background_runs",
            "evox_background_last_duration_seconds",
            "evox_proxy_calls",
            "evox_service_state",
            "evox_requests",
            "process_cpu_seconds",
        }
        assert wanted - families.keys() == set()
        calls = {
            (one.labels["endpoint"], one.labels["status"]): one.value
            for one in families["evox_call_duration_seconds"].samples
            if one.name.endswith("_count")
        }
        assert (calls["get_user", "200"], calls["broken", "500"], calls["rates", "200"]) == (5, 1, 2)
        reads = {one.labels["verdict"]: one.value for one in families["evox_cache_reads"].samples}
        assert (reads["misses"], reads["stale"]) == (1, 1)
        waits = [one for one in families["evox_queue_wait_seconds"].samples if one.labels["level"] == "medium"]
        assert next(one.value for one in waits if one.name.endswith("_count")) >= 5


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/openmetrics-text"),
        ("text/plain", "text/plain"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text"),
    ],
    ids=["anything", "text", "prometheus"],
)
async def test_metrics_come_in_the_form_that_the_client_takes(accept: str, media: str) -> None:
    users, _, _ = shop()
    async with running(users) as env:
        reply = await env.client(users).get("/_evox/metrics", headers={"accept": accept})
        assert reply.headers["content-type"].startswith(media)


async def test_each_service_has_its_own_metrics() -> None:
    users, orders, _ = shop()
    async with running(users, orders) as env:
        await env.client(orders).get("/orders/1")
        text = (await env.client(orders).get("/_evox/metrics")).text
        assert 'endpoint="get_order"' in text
        assert 'endpoint="get_user"' not in text


async def test_a_service_can_look_at_itself() -> None:
    users, orders, _ = shop()

    @orders.get("/mirror")
    async def mirror() -> dict[str, Any]:
        return {"level": look().level, "services": [one.name for one in look().services]}

    async with running(users, orders) as env:
        found = (await env.client(orders).get("/mirror")).json()
        assert found == {"level": "pass", "services": ["users", "orders"]}


async def test_an_existing_app_shows_the_same_and_its_own_routes_win() -> None:
    app = FastAPI()

    @app.get("/_evox/info")
    async def own() -> str:
        return "mine"

    legacy = Service.from_fastapi(app, name="legacy")
    async with running(legacy) as env:
        assert (await env.client(legacy).get("/_evox/info")).json() == "mine"
        assert (await view(env, "snapshot", "legacy"))["services"][0]["name"] == "legacy"
        assert "/_evox/snapshot" not in (await env.client(legacy).get("/openapi.json")).text


def test_it_is_seen_under_another_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOX_OBSERVE__TOKENS", "env:LOOK")
    monkeypatch.setenv("LOOK", "t" * 40)
    users, _, _ = shop()
    with TestClient(users.app) as client:
        assert client.get("/users/1").status_code == 200
        assert client.get("/_evox/snapshot").status_code == 401
        found = client.get("/_evox/snapshot", headers={"authorization": f"Bearer {'t' * 40}"}).json()
        assert [(one["endpoint"], one["count"]) for one in found["calls"]] == [("get_user", 1)]
