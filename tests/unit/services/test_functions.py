"""Function syntax: who a module-level endpoint belongs to, in which order routes stand, and when it is too late."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import httpx2
import pytest
from fastapi import APIRouter

from evox import Service, ServiceBuilder
from evox.core import get
from evox.errors import AmbiguousEndpoint, InvalidDeclaration, LateDeclaration
from evox.testing import running

Load: TypeAlias = Callable[[str], ModuleType]
METHODS = ["get", "post", "put", "patch", "delete", "head", "options"]

BEFORE = """
    from evox.core import get, service

    @get("/x", priority="high", tags=["t"])
    async def x() -> str:
        return "from the module"

    svc = service("one").build()
"""
AFTER = """
    from evox.core import get, service

    svc = service("one").build()

    @get("/x", priority="high", tags=["t"])
    async def x() -> str:
        return "from the module"
"""
TWO = """
    from evox.core import get, service

    first, second = service("first"), service("second")

    @get("/x")
    async def nobodys() -> None: ...
"""


async def ask(svc: Service, *paths: str) -> list[Any]:
    """Return the bodies that a service answers."""
    async with running(svc) as env:
        return [(await env.client(svc).get(path)).json() for path in paths]


@pytest.mark.parametrize("source", [BEFORE, AFTER], ids=["before", "after"])
async def test_a_module_level_endpoint_belongs_to_the_service_of_its_module(load: Load, source: str) -> None:
    svc = load(source).svc
    assert [(row.name, row.priority.name, row.options["tags"]) for row in svc.endpoints] == [("x", "HIGH", ["t"])]
    assert await ask(svc, "/x") == ["from the module"]


async def test_a_module_level_endpoint_may_come_after_the_app_was_touched(load: Load) -> None:
    module = load(AFTER.replace(".build()\n", ".build()\n    svc.app\n"))
    assert await ask(module.svc, "/x") == ["from the module"]


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_has_its_decorators(load: Load, method: str) -> None:
    module = load(f"""
    from evox.core import {method}, service
    svc = service("one")

    @{method}("/module")
    async def by_module() -> None: ...

    @svc.{method}("/service")
    async def by_service() -> None: ...
    """)
    async with running(module.svc) as env:
        for path in ("/module", "/service"):
            assert (await env.client("one").request(method.upper(), path)).status_code == 200
            assert (await env.client("one").request("TRACE", path)).status_code == 405


def test_two_services_in_the_module_is_an_error_that_names_both(load: Load) -> None:
    module = load(TWO)
    with pytest.raises(AmbiguousEndpoint) as caught:
        module.first.compile()
    text = str(caught.value)
    assert all(part in text for part in ("'nobodys'", "'first'", "'second'", "@svc.get", module.__name__))
    assert caught.value.place is not None
    assert caught.value.place.file == module.__file__


async def test_a_service_with_an_ambiguous_endpoint_does_not_start(load: Load) -> None:
    module = load(TWO)
    for svc in (module.first, module.second):
        with pytest.raises(AmbiguousEndpoint):
            async with running(svc):
                pass


async def test_a_service_imported_from_elsewhere_is_not_the_modules_own(load: Load) -> None:
    other = load("""
    from evox.core import service
    imported = service("imported")
    """)
    module = load(f"""
    from {other.__name__} import imported
    from evox.core import get, service
    svc = service("one")

    @get("/x")
    async def x() -> str:
        return "mine"
    """)
    assert other.imported.endpoints == ()
    assert [row.name for row in module.svc.endpoints] == ["x"]


async def test_a_name_given_to_a_service_twice_is_still_one_service(load: Load) -> None:
    module = load(AFTER + "\n    application = service_again = svc\n")
    assert [row.name for row in module.application.endpoints] == ["x"]


def test_decorators_return_the_function_itself() -> None:
    svc = ServiceBuilder("a")

    async def handle(q: int = 3) -> int:
        return q

    assert svc.get("/a")(handle) is handle
    assert svc.endpoint("/b", methods=["PUT", "POST"])(handle) is handle
    assert get("/c")(handle) is handle


async def test_a_declared_function_can_be_called_as_any_other(load: Load) -> None:
    module = load(AFTER)
    assert module.svc.app is module.svc.app
    assert await module.x() == "from the module"


async def test_one_function_may_serve_several_paths() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/b")
    @svc.get("/a")
    async def both() -> str:
        return "both"

    assert await ask(svc, "/a", "/b") == ["both", "both"]


async def test_a_path_without_a_slash_is_given_one() -> None:
    svc = ServiceBuilder("a")
    svc.get("users")(lambda: "users")
    assert await ask(svc, "/users") == ["users"]


def first(svc: Service) -> None:
    svc.get("/things/special")(lambda: "endpoint")


def second(svc: Service) -> None:
    svc.app.get("/things/{name}")(lambda name: "route")


def third(svc: Service) -> None:
    router = APIRouter()
    router.get("/{kind}/special")(lambda kind: "router")
    svc.include_router(router)


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ([first, second, third], "endpoint"),
        ([second, first, third], "route"),
        ([third, first, second], "router"),
        ([third, second, first], "router"),
    ],
)
async def test_endpoints_and_routes_stand_in_the_order_they_were_written(order: Any, answer: str) -> None:
    svc = ServiceBuilder("a")
    for add in order:
        add(svc)
    assert await ask(svc, "/things/special") == [answer]


@pytest.mark.parametrize("add", ["get", "include_router", "add_api_route", "mount", "router"])
async def test_the_order_holds_for_an_app_that_was_taken_earlier(add: str) -> None:
    """``app = svc.app`` once at the top of the module is how FastAPI users write it."""
    svc, router = ServiceBuilder("a"), APIRouter()
    app = svc.app
    first(svc)
    router.get("/things/{name}")(lambda name: "route")
    if add == "get":
        app.get("/things/{name}")(lambda name: "route")
    elif add == "include_router":
        app.include_router(router)
    elif add == "mount":
        app.mount("/things", router)
    elif add == "router":
        app.router.get("/things/{name}")(lambda name: "route")
    else:
        app.add_api_route("/things/{name}", lambda name: "route")
    assert await ask(svc, "/things/special") == ["endpoint"]


async def test_what_comes_after_the_start_is_refused(load: Load) -> None:
    svc = load(AFTER).svc

    class Anything: ...

    async with running(svc) as env:
        for declare in (svc.get("/y"), svc.on_startup, svc.on_shutdown, svc.background_task, svc.health_check("y")):
            with pytest.raises(LateDeclaration, match="'one' started"):
                declare(lambda: None)
        with pytest.raises((LateDeclaration, InvalidDeclaration)):
            svc.register_controller(Anything)
        reply: httpx2.Response = await env.client("one").get("/y")
    assert reply.status_code == 404


async def test_a_module_level_endpoint_after_the_start_is_refused_too(load: Load) -> None:
    module = load(AFTER + "\n    def late():\n        get('/y')(lambda: 'late')\n")
    async with running(module.svc):
        with pytest.raises(LateDeclaration, match="'one' started"):
            module.late()


async def test_after_a_run_declarations_are_taken_again() -> None:
    svc = ServiceBuilder("a")
    async with running(svc):
        pass
    svc.get("/x")(lambda: "later")
    assert await ask(svc, "/x") == ["later"]
