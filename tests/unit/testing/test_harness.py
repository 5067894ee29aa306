"""`running(...)`: services for the time of a block, with and without sockets, and with their real errors."""

import logging
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from evox import Service, ServiceBuilder, inject
from evox.errors import ConfigurationError, DuplicateService, StartupFailed
from evox.runtime import State
from evox.testing import Env, running


def greeting(name: str) -> ServiceBuilder:
    svc = ServiceBuilder(name)
    svc.get("/hello")(lambda: f"hello from {name}")
    return svc


async def fails() -> None:
    raise ValueError("the real error")


async def until_it_ends(svc: Service, *, path: str | None = None) -> None:
    """Run a service for as long as it takes to fail."""
    async with running(svc) as env:
        if path is not None:
            await env.client(svc).get(path)
        await anyio.sleep_forever()


async def test_services_run_for_the_time_of_the_block() -> None:
    svc = greeting("a")
    async with running(svc) as env:
        host = env.host(svc)
        assert host.lifecycle.statistics().state is State.READY
        assert (await env.client(svc).get("/hello")).json() == "hello from a"
    assert host.lifecycle.statistics().state is State.STOPPED


async def test_several_services_run_side_by_side() -> None:
    async with running(greeting("one"), greeting("two")) as env:
        answers = [(await env.client(name).get("/hello")).json() for name in ("one", "two")]
        assert repr(env) == "<Env of one, two>"
    assert answers == ["hello from one", "hello from two"]


async def test_a_service_can_be_run_again_and_again() -> None:
    svc = greeting("a")
    for _ in range(3):
        async with running(svc) as env:
            assert (await env.client(svc).get("/hello")).status_code == 200


async def test_a_service_that_does_not_run_here_is_named_with_those_that_do() -> None:
    async with running(greeting("one"), greeting("two")) as env:
        for ask in (env.host, env.client, env.service, env.url):
            with pytest.raises(KeyError, match=r"'three'.*one, two"):
                ask("three")


async def test_two_environments_at_once_do_not_mix() -> None:
    first, second = greeting("a"), ServiceBuilder("a")
    second.get("/hello")(lambda: "hello from the other")
    async with running(first) as one, running(second) as two:
        answers = [(await env.client("a").get("/hello")).json() for env in (one, two, one)]
    assert answers == ["hello from a", "hello from the other", "hello from a"]


async def test_after_an_inner_environment_the_outer_one_is_current_again() -> None:
    outer, inner = ({"config": {"user": {"key": key}}} for key in ("outer", "inner"))
    async with running(greeting("first"), settings=outer):
        async with running(greeting("second"), settings=inner):
            assert inject.config("user")["key"] == "inner"
        assert inject.config("user")["key"] == "outer"


async def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(DuplicateService, match="'a'"):
        async with running(greeting("a"), greeting("a")):
            pass


async def test_settings_are_those_of_the_run_and_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "evox.toml").write_text("[runtime]\nthreads = 3\n")
    async with running(greeting("a"), settings={"runtime": {"threads": 7}}, root=tmp_path) as env:
        assert env.service("a").threads.total_tokens == 7
    async with running(greeting("a"), root=tmp_path) as env:
        assert env.service("a").threads.total_tokens == 40


@pytest.mark.parametrize("settings", [{"prot": 1}, {"runtime": {"threads": 0}}, {"runtime": {"thread": 1}}], ids=str)
async def test_settings_that_do_not_fit_are_refused_as_those_of_a_file_are(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        async with running(greeting("a"), settings=settings):
            pass


async def test_without_sockets_there_is_no_url_and_the_error_says_what_to_write() -> None:
    async with running(greeting("a")) as env:
        with pytest.raises(RuntimeError, match=r"running\(\.\.\., sockets=True\)"):
            env.url("a")


async def test_with_sockets_every_service_has_a_real_port() -> None:
    async with running(greeting("one"), greeting("two"), sockets=True) as env:
        urls = {name: env.url(name) for name in ("one", "two")}
        assert len(set(urls.values())) == 2
        async with httpx2.AsyncClient(trust_env=False) as client:
            for name, url in urls.items():
                assert (await client.get(f"{url}/hello")).json() == f"hello from {name}"
        assert (await env.client("one").get("/hello")).json() == "hello from one"
        assert str(env.client("one").base_url).startswith(urls["one"])


async def test_with_sockets_an_unhandled_error_is_a_500_and_the_service_goes_on() -> None:
    svc = greeting("a")
    svc.get("/fails")(lambda: 1 / 0)
    async with running(svc, sockets=True) as env:
        client = env.client("a")
        assert (await client.get("/fails")).status_code == 500
        assert (await client.get("/hello")).status_code == 200


async def test_after_the_block_the_port_is_closed() -> None:
    async with running(greeting("a"), sockets=True) as env:
        url = httpx2.URL(env.url("a"))
    assert url.port is not None
    with pytest.raises(OSError, match=r"attempts failed|refused"):
        await anyio.connect_tcp(url.host, url.port)


def add_task(svc: ServiceBuilder) -> None:
    svc.background_task(fails)


def add_job(svc: ServiceBuilder) -> None:
    async def start() -> None:
        svc.start_soon(fails)

    svc.get("/x")(start)


def add_job_of_a_hook(svc: ServiceBuilder) -> None:
    async def start() -> None:
        svc.start_soon(fails)

    svc.on_startup(start)


@pytest.mark.parametrize(("add", "path"), [(add_task, None), (add_job, "/x"), (add_job_of_a_hook, None)])
async def test_R2_the_error_of_work_beside_the_requests_is_raised_alone(
    add: Callable[[ServiceBuilder], None], path: str | None
) -> None:
    svc = ServiceBuilder("a")
    add(svc)
    with pytest.raises(ValueError, match="the real error"):
        await until_it_ends(svc, path=path)


async def test_R3_a_failed_start_is_raised_alone_with_the_real_error_as_its_cause() -> None:
    svc = ServiceBuilder("a")
    svc.on_startup(fails)
    with pytest.raises(StartupFailed, match="the real error") as caught:
        await until_it_ends(svc)
    assert isinstance(caught.value.__cause__, ValueError)


async def test_the_error_of_the_test_itself_is_raised_alone() -> None:
    async def run() -> None:
        async with running(greeting("a"), greeting("b")):
            raise KeyError("the test's own")

    with pytest.raises(KeyError, match="the test's own"):
        await run()


async def test_without_raise_errors_services_are_supervised_as_in_production() -> None:
    svc, again = greeting("a").restart(backoff=0), anyio.Event()
    errors = iter([ValueError("the real error")])

    @svc.background_task(on_error="fail_service")
    async def fails_once() -> None:
        for error in errors:
            raise error
        again.set()

    async with running(svc, raise_errors=False) as env:
        with anyio.fail_after(10):
            await again.wait()
            await env.host(svc).lifecycle.wait_state(State.READY)
        assert (await env.client(svc).get("/hello")).status_code == 200
        assert env.host(svc).lifecycle.statistics().starts == 2


async def test_nothing_is_installed_in_the_process() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [*(signal.getsignal(one) for one in numbers), list(logging.root.handlers), logging.root.level]
    async with running(greeting("a"), sockets=True):
        assert [*(signal.getsignal(one) for one in numbers), list(logging.root.handlers), logging.root.level] == before


async def test_the_fixture_gives_the_factory(evox_running: Callable[..., AbstractAsyncContextManager[Env]]) -> None:
    svc = greeting("a")
    async with evox_running(svc, sockets=False) as env:
        assert isinstance(env, Env)
        assert (await env.client(svc).get("/hello")).status_code == 200
