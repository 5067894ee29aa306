"""Overrides: what a test puts in place of a real thing is seen by running handlers, there only, and gone after."""

from typing import Annotated, Any

import anyio
import pytest

from evox import GET, Controller, Service, ServiceBuilder, inject
from evox.errors import NotInjectable, OutsideRuntime
from evox.testing import running


class Repo:
    name = "real"


class Fake(Repo):
    name = "fake"


class Other(Repo):
    name = "other"


class Shop:
    def __init__(self, repo: Repo) -> None:
        self.repo = repo


class FakeShop(Shop):
    """A fake that needs something itself."""


class Circular(Repo):
    def __init__(self, real: Repo) -> None: ...


settings = inject.config("user")


def service() -> Service:
    svc = ServiceBuilder("a")

    @svc.get("/call")
    async def call() -> str:
        return inject(Repo).name

    @svc.get("/parameter")
    def parameter(repo: Annotated[Repo, inject(Repo)]) -> str:
        return repo.name

    @svc.get("/constructor")
    async def constructor() -> str:
        return inject(Shop).repo.name

    @svc.get("/config")
    async def config() -> Any:
        return inject.config("user")["key"]

    @svc.get("/config-parameter")
    async def config_parameter(user: Annotated[Any, settings]) -> Any:
        return user["key"]

    @svc.register_controller
    @Controller("/controller")
    class Items:
        def __init__(self, repo: Repo) -> None:
            self.repo = repo

        @GET("/")
        def read(self) -> str:
            return self.repo.name

    return svc


PATHS = ["/call", "/parameter", "/constructor", "/controller"]


@pytest.mark.parametrize("path", PATHS)
async def test_an_override_is_seen_by_a_running_handler(path: str) -> None:
    async with running(service()) as env:
        with env.override(Repo, Fake()):
            assert (await env.client("a").get(path)).json() == "fake"


@pytest.mark.parametrize("path", PATHS)
async def test_an_override_is_seen_where_the_real_thing_was_used_before(path: str) -> None:
    async with running(service()) as env:
        assert (await env.client("a").get(path)).json() == "real"
        with env.override(Repo, Fake()):
            assert (await env.client("a").get(path)).json() == "fake"


@pytest.mark.parametrize("path", PATHS)
async def test_an_override_is_gone_after_its_block(path: str) -> None:
    async with running(service()) as env:
        with env.override(Repo, Fake()):
            await env.client("a").get(path)
        assert (await env.client("a").get(path)).json() == "real"


async def test_an_override_is_gone_after_an_error_in_its_block() -> None:
    async with running(service()) as env:
        with pytest.raises(KeyError), env.override(Repo, Fake()):
            raise KeyError
        assert (await env.client("a").get("/call")).json() == "real"


async def test_the_real_instance_is_the_same_one_before_and_after() -> None:
    svc = service()
    async with running(svc) as env:
        before = env.service(svc).resolve(Repo)
        with env.override(Repo, Fake()):
            pass
        assert env.service(svc).resolve(Repo) is before


async def test_of_nested_overrides_the_inner_one_stands() -> None:
    async with running(service()) as env:
        client = env.client("a")
        with env.override(Repo, Fake()):
            with env.override(Repo, Other()):
                assert (await client.get("/call")).json() == "other"
            assert (await client.get("/call")).json() == "fake"
        assert (await client.get("/call")).json() == "real"


async def test_overrides_may_end_in_any_order() -> None:
    async with running(service()) as env:
        first, second = env.override(Repo, Fake()), env.override(Repo, Other())
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert (await env.client("a").get("/call")).json() == "other"
        second.__exit__(None, None, None)
        assert (await env.client("a").get("/call")).json() == "real"


async def test_a_class_put_in_place_is_made_by_injection_once() -> None:
    svc = service()
    async with running(svc) as env:
        with env.override(Repo, Fake), env.override(Shop, FakeShop):
            shop = env.service(svc).resolve(Shop)
            assert (type(shop), type(shop.repo)) == (FakeShop, Fake)
            assert env.service(svc).resolve(Shop) is shop


async def test_a_class_put_in_place_that_needs_what_it_replaces_is_refused() -> None:
    svc = service()
    async with running(svc) as env:
        with env.override(Repo, Circular), pytest.raises(NotInjectable, match="Circular"):
            env.service(svc).resolve(Repo)


async def test_an_override_wins_over_a_provider() -> None:
    svc = service()
    svc.provide(Repo, Other)
    async with running(svc) as env:
        assert (await env.client("a").get("/call")).json() == "other"
        with env.override(Repo, Fake()):
            assert (await env.client("a").get("/call")).json() == "fake"


@pytest.mark.parametrize("path", ["/config", "/config-parameter"])
async def test_a_configuration_section_can_be_overridden(path: str) -> None:
    async with running(service(), settings={"config": {"user": {"key": "real"}}}) as env:
        with env.override(settings, {"key": "fake"}):
            assert (await env.client("a").get(path)).json() == "fake"
        assert (await env.client("a").get(path)).json() == "real"


@pytest.mark.parametrize("thing", [Repo(), "Repo", None, 3], ids=["an instance", "a text", "None", "a number"])
async def test_only_what_injection_can_give_can_be_overridden(thing: Any) -> None:
    async with running(service()) as env:
        with pytest.raises(NotInjectable, match="not a type"), env.override(thing, Fake()):
            pass


async def test_parallel_runtimes_do_not_see_it() -> None:
    first, second = service(), service()
    async with running(first) as one, running(second) as two:
        with one.override(Repo, Fake()):
            assert (await one.client("a").get("/call")).json() == "fake"
            assert (await two.client("a").get("/call")).json() == "real"


async def test_runs_of_one_service_in_parallel_do_not_see_it() -> None:
    svc, overridden, checked = service(), anyio.Event(), anyio.Event()
    found = {}

    async def faked() -> None:
        async with running(svc) as env:
            with env.override(Repo, Fake()):
                found["faked"] = (await env.client("a").get("/call")).json()
                overridden.set()
                await checked.wait()

    async def real() -> None:
        async with running(svc) as env:
            await overridden.wait()
            found["real"] = (await env.client("a").get("/call")).json()
            checked.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(faked)
            group.start_soon(real)
    assert found == {"faked": "fake", "real": "real"}


async def test_all_services_of_a_runtime_see_it() -> None:
    first, second = service(), ServiceBuilder("b")
    second.get("/call")(lambda: inject(Repo).name)
    async with running(first, second) as env:
        with env.override(Repo, Fake()):
            assert [(await env.client(one).get("/call")).json() for one in (first, second)] == ["fake", "fake"]


async def test_inject_override_works_inside_a_handler() -> None:
    svc = service()

    @svc.get("/inside")
    async def inside() -> list[str]:
        with inject.override(Repo, Fake()):
            during = inject(Repo).name
        return [during, inject(Repo).name]

    async with running(svc) as env:
        assert (await env.client("a").get("/inside")).json() == ["fake", "real"]


async def test_inject_override_in_a_test_body_is_seen_by_handlers() -> None:
    async with running(service()) as env:
        with inject.override(Repo, Fake()):
            assert (await env.client("a").get("/call")).json() == "fake"


def test_inject_override_outside_a_runtime_is_refused() -> None:
    with pytest.raises(OutsideRuntime, match=r"inject\.override"), inject.override(Repo, Fake()):
        pass
