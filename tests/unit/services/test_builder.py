"""The builder: every step gives the builder back, refuses what does not fit, and needs no `.build()`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.middleware.gzip import GZipMiddleware

from evox import GET, Controller, RestartPolicy, Service, ServiceBuilder, service
from evox.errors import InvalidDeclaration, LateDeclaration, StartupTimeout, UnknownOption
from evox.testing import running


class Model(BaseModel):
    limit: int = 1


@Controller("/items")
class Items:
    @GET("/")
    def read(self) -> str:
        return "items"


STEPS: dict[str, Callable[[ServiceBuilder], Service]] = {
    "port": lambda svc: svc.port(8001),
    "health": lambda svc: svc.health("/status"),
    "depends_on": lambda svc: svc.depends_on("b", "c"),
    "start_timeout": lambda svc: svc.start_timeout("1m"),
    "restart": lambda svc: svc.restart(max_restarts=0, window="1h", backoff=timedelta(seconds=2)),
    "config": lambda svc: svc.config("user", Model),
    "register_controller": lambda svc: svc.register_controller(Items),
    "include_router": lambda svc: svc.include_router(APIRouter(), prefix="/more"),
    "add_middleware": lambda svc: svc.add_middleware(GZipMiddleware, minimum_size=1),
}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_gives_the_builder_back(step: str) -> None:
    svc = service("a")
    assert STEPS[step](svc) is svc


def test_all_steps_chain() -> None:
    svc = service("a", tags=["t"], version="2.0.0")
    built = svc.port(8001).health("/status").depends_on("b").depends_on("c").start_timeout(3).restart().build()
    assert built is svc
    assert (svc.settings.port, svc.settings.health_path, svc.settings.start_timeout) == (8001, "/status", 3.0)
    assert (svc.settings.depends_on, svc.settings.tags, svc.version) == (("b", "c"), ("t",), "2.0.0")
    assert svc.settings.restart == RestartPolicy(5, 60.0, 0.5)


def test_service_and_service_builder_begin_the_same() -> None:
    made = [service("a"), ServiceBuilder("a")]
    assert {type(one) for one in made} == {ServiceBuilder}
    assert all(isinstance(one, Service) for one in made)


@pytest.mark.parametrize("build", [True, False])
async def test_a_service_runs_with_and_without_build(build: bool) -> None:
    svc: Service = service("a").health("/status")
    if build:
        svc = service("a").health("/status").build()
    svc.get("/x")(lambda: "x")
    async with running(svc) as env:
        assert (await env.client("a").get("/x")).json() == "x"
        assert (await env.client("a").get("/status")).status_code == 200


def test_the_place_of_a_service_is_the_users_line() -> None:
    place = service("a").place
    assert place is not None
    assert place.file == __file__


@pytest.mark.parametrize("name", ["", "1a", "-a", "_a", "a b", "a/b", "a.b", "ä", "a\n", 5, None], ids=repr)
def test_a_name_that_does_not_fit_is_refused(name: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="starts with a letter") as caught:
        service(name)
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


@pytest.mark.parametrize("name", ["a", "A", "user-service", "user_service", "v2-users"])
def test_a_name_that_fits_is_kept(name: str) -> None:
    assert service(name).name == name


@pytest.mark.parametrize("port", [-1, 65536, True, "8001", 8001.0, None], ids=repr)
def test_a_port_that_does_not_fit_is_refused(port: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="from 0 to 65535"):
        service("a").port(port)


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_a_port_that_fits_is_kept(port: int) -> None:
    assert service("a").port(port).settings.port == port


@pytest.mark.parametrize("path", ["", "health", "/{user}", "http://a/health", None, 5], ids=repr)
def test_a_health_path_that_does_not_fit_is_refused(path: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="health"):
        service("a").health(path)


def test_health_cannot_be_moved_once_the_app_is_there() -> None:
    svc = service("a")
    svc.compile()
    with pytest.raises(LateDeclaration, match="/status"):
        svc.health("/status")


@pytest.mark.parametrize("limit", ["soon", -1, 0, None, float("nan"), float("inf")], ids=repr)
def test_a_start_timeout_that_does_not_fit_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="start_timeout"):
        service("a").start_timeout(limit)


async def test_the_start_timeout_bounds_the_start() -> None:
    svc = service("a").start_timeout("10ms")
    svc.on_startup(anyio.sleep_forever)
    with pytest.raises(StartupTimeout, match=r"0\.01 s"):
        async with running(svc):
            pass


@pytest.mark.parametrize(
    "options",
    [{"max_restarts": -1}, {"max_restarts": "5"}, {"max_restarts": 1.5}, {"window": "soon"}, {"backoff": -1}],
    ids=str,
)
def test_a_restart_policy_that_does_not_fit_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidDeclaration, match=next(iter(options))):
        service("a").restart(**options)


@pytest.mark.parametrize("kind", [dict, "Model", None, Model()], ids=repr)
def test_a_configuration_model_that_is_none_is_refused(kind: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="user"):
        service("a").config("user", kind)


def test_an_option_that_nothing_knows_is_refused() -> None:
    with pytest.raises(UnknownOption, match="titel"):
        service("a", titel="A").compile()


def test_options_of_fastapi_reach_the_app() -> None:
    app = service("a", title="Users", description="All of them.", docs_url=None).app
    assert (app.title, app.description, app.docs_url) == ("Users", "All of them.", None)


def test_tags_of_the_service_stand_before_those_of_an_endpoint() -> None:
    svc = service("a", tags=["all"])
    svc.get("/x", tags=["x"])(lambda: None)
    assert svc.endpoints[0].options["tags"] == ["all", "x"]
    assert svc.app.openapi()["paths"]["/x"]["get"]["tags"] == ["all", "x"]
