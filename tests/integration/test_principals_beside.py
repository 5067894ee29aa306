"""On whose behalf runs what is beside requests: the service's, and in loaders and flights that of who began them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from evox import GET, Controller, Intent, Service, ServiceBuilder
from evox.core import auth, data_io
from evox.testing import acting_as, run_virtual, running

SYSTEM = "system 'beside'"


class Note(BaseModel):
    id: str


class Beside:
    """A service that notes, for each place beside its requests, on whose behalf code runs there."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {}
        self.svc = ServiceBuilder("beside")
        self.svc.get("/asks")(auth.require_roles("admin")(lambda: "asks"))
        self.hooks()
        self.signals()

        @self.svc.get("/write")
        @auth.public
        async def write() -> None:
            await data_io.write(Note, "1", Note(id="1"))
            await data_io.delete(Note, "1")
            await data_io.invalidate(tag="notes")

    def note(self, place: str) -> None:
        self.seen.setdefault(place, set()).add(str(auth.current()))

    def hooks(self) -> None:
        svc, note = self.svc, self.note

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            note("start of a lifespan")
            yield
            note("end of a lifespan")

        @contextmanager
        def sync_lifespan(app: FastAPI) -> Iterator[None]:
            note("start of a sync lifespan")
            yield
            note("end of a sync lifespan")

        svc.lifespan(lifespan)
        svc.lifespan(sync_lifespan)
        for kind in ("startup", "shutdown"):
            for name in (f"async {kind}", kind):
                getattr(svc, f"on_{kind}")(self.function(name))
        svc.background_task()(self.function("async background task"))
        svc.background_task(interval=60)(self.function("background task"))
        svc.health_check("a")(self.function("async health check"))
        svc.health_check("b")(self.function("health check"))
        svc.app.router.on_startup.append(self.function("FastAPI's own handler"))

    def signals(self) -> None:
        @self.svc.on_startup
        async def listen() -> None:  # within the service, so that it ends with it
            for action, of in (("written", Note), ("deleted", Note), ("invalidated", None)):
                for name in (f"async handler of {action}", f"handler of {action}"):
                    data_io.on(action, of)(self.function(name))  # type: ignore[arg-type]

    def function(self, place: str) -> Any:
        def sync(*_: Any) -> None:
            self.note(place)

        async def run(*_: Any) -> None:
            await anyio.lowlevel.checkpoint()
            self.note(place)

        made = run if place.startswith("async") else sync
        made.__name__ = made.__qualname__ = place.replace(" ", "_").replace("'", "")
        return made


PLACES = 19
HEALTH = ("/health", "/health/ready")


@pytest.mark.parametrize("path", HEALTH)
async def test_all_that_a_service_does_by_itself_it_does_on_its_own_behalf(path: str) -> None:
    beside = Beside()
    async with running(beside.svc) as env:
        client = env.client(beside.svc, token=env.token("ada", roles=["user"]))
        await client.get("/write")
        await client.get(path)
    assert beside.seen == {place: {SYSTEM} for place in beside.seen}
    assert len(beside.seen) == PLACES, sorted(beside.seen)


@pytest.mark.parametrize("asked", [["ada", None], [None, "ada"]])
async def test_a_health_check_asks_for_all_and_not_for_whoever_came_first(asked: list[str | None]) -> None:
    beside = Beside()
    async with running(beside.svc) as env:
        for name in asked:
            token = None if name is None else env.token(name)
            assert (await env.client(beside.svc, token=token).get("/health")).status_code == 200
    assert beside.seen["health check"] == beside.seen["async health check"] == {SYSTEM}


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_under_another_server_it_is_the_same(backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("EVOX_AUTH__KEYS", "env:BESIDE")
    monkeypatch.setenv("BESIDE", "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-tokens")
    beside = Beside()
    with TestClient(beside.svc.app, backend=backend) as client:
        client.get("/write")
        client.get("/health")
    assert beside.seen == {place: {SYSTEM} for place in beside.seen}
    assert len(beside.seen) == PLACES


async def test_what_is_made_once_for_all_is_made_on_the_services_behalf() -> None:
    """A controller was made on behalf of whoever called it first."""
    svc, made = ServiceBuilder("beside"), list[str]()

    class Store:
        def __init__(self) -> None:
            made.append(str(auth.current()))

    class Provided: ...

    def provider(store: Store) -> Provided:
        made.append(str(auth.current()))
        return Provided()

    @svc.register_controller
    @Controller("/c")
    class Own:
        def __init__(self, provided: Provided) -> None:
            made.append(str(auth.current()))

        @GET("/x")
        @auth.require_intent("look")
        async def x(self) -> str:
            return str(auth.current())

    svc.provide(Provided, provider)
    async with running(svc) as env:
        for name in ("ada", "bob"):
            assert (await env.client(svc, token=env.token(name)).get("/c/x")).json() == f"user '{name}'"
    assert made == [SYSTEM] * 3


def loading() -> tuple[Service, dict[str, list[str]], anyio.Event]:
    """Return a service with a loader that waits, on whose behalf what ran in it, and what lets it go on."""
    svc, seen, go_on = ServiceBuilder("beside"), dict[str, list[str]](), anyio.Event()

    def note(place: str) -> None:
        seen.setdefault(place, []).append(str(auth.current()))

    async def load() -> str:
        note("loader")
        await go_on.wait()
        note("loader, later")
        svc.start_soon(note, "job of a loader")
        return "loaded"

    @svc.get("/load")
    @auth.public
    async def read() -> Any:
        found = await data_io.read("key", loader=load)
        note("reader")
        return found

    @svc.get("/load-sync")
    @auth.public
    async def read_sync() -> Any:
        def load_sync() -> str:
            note("sync loader")
            return "loaded"

        return await data_io.read("other", loader=load_sync)

    svc.get("/asks")(auth.require_roles("admin")(lambda: "asks"))
    return svc, seen, go_on


async def test_a_loader_runs_on_behalf_of_whoever_began_it_and_readers_on_their_own() -> None:
    svc, seen, go_on = loading()
    async with running(svc) as env, anyio.create_task_group() as group:
        for name in ("ada", "bob", "eve"):
            group.start_soon(env.client(svc, token=env.token(name)).get, "/load")
            await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert seen["loader"] == seen["loader, later"] == seen["job of a loader"] == ["user 'ada'"]
    assert sorted(seen["reader"]) == ["user 'ada'", "user 'bob'", "user 'eve'"]


async def test_a_sync_loader_too() -> None:
    svc, seen, _ = loading()
    async with running(svc) as env:
        await env.client(svc, token=env.token("ada")).get("/load-sync")
    assert seen == {"sync loader": ["user 'ada'"]}


def answering(**options: Any) -> tuple[Service, list[str]]:
    svc, seen = ServiceBuilder("beside"), list[str]()

    @svc.get("/me", cache=10, on_disconnect="finish")
    @Intent(**options)
    @auth.require_intent("look")
    async def me() -> str:
        seen.append(str(auth.current()))
        await anyio.sleep(1)
        seen.append(str(auth.current()))
        return str(auth.current())

    return svc, seen


def test_the_flight_of_an_answer_runs_on_behalf_of_its_caller_and_is_refreshed_on_that_behalf() -> None:
    svc, seen = answering(eager=0.5, fallback="aggressive", soft_timeout="0.5s")

    async def main() -> None:
        async with running(svc) as env:
            clients = {name: env.client(svc, token=env.token(name)) for name in ("ada", "bob")}
            for name, client in clients.items():
                assert (await client.get("/me")).json() == f"user '{name}'"
            await anyio.sleep(6)  # nearly due: refreshed beside the request
            assert (await clients["bob"].get("/me")).json() == "user 'bob'"
            await anyio.sleep(12)  # old, and slow: refreshed while the old one is given
            reply = await clients["ada"].get("/me")
            assert (reply.json(), "stale" in reply.headers["cache-status"]) == ("user 'ada'", True)
            await anyio.sleep(2)

    run_virtual(main)
    assert seen == ["user 'ada'"] * 2 + ["user 'bob'"] * 4 + ["user 'ada'"] * 2


def test_a_flight_whose_client_has_left_still_runs_on_that_behalf() -> None:
    svc, seen = answering()

    async def main() -> None:
        async with running(svc) as env:
            ada = env.client(svc, token=env.token("ada"))
            with anyio.move_on_after(0.5):
                await ada.get("/me")
            await anyio.sleep(2)

    run_virtual(main)
    assert seen == ["user 'ada'"] * 2


async def test_a_test_is_the_service_itself_or_whomever_it_acts_as() -> None:
    svc = ServiceBuilder("beside")
    svc.get("/me")(auth.require_intent("look")(lambda: str(auth.current())))
    assert auth.current() == auth.ANONYMOUS
    async with running(svc) as env:
        assert str(auth.current()) == SYSTEM
        with acting_as("ada", roles=["user"]) as ada:
            assert auth.current() == ada
            assert (await env.client(svc).get("/me")).status_code == 401  # a request has a caller of its own
            with acting_as(None):
                assert auth.current() == auth.ANONYMOUS
            assert auth.current().has_role("user")
        assert str(auth.current()) == SYSTEM
    assert auth.current() == auth.ANONYMOUS
