"""Class syntax: where a controller answers, and what `@Controller` and `register_controller` refuse."""

from typing import Any

import httpx2
import pytest

from evox import GET, POST, Controller, Intent, Service, ServiceBuilder
from evox.errors import DuplicateEndpoint, InvalidDeclaration, UnknownOption
from evox.testing import running


class Base:
    @GET("/x")
    def x(self) -> str:
        return "x"


def with_controller(*controllers: type) -> Service:
    svc = ServiceBuilder("a")
    for controller in controllers:
        svc.register_controller(controller)
    return svc


async def answers(svc: Service, *paths: str) -> list[Any]:
    """Return the bodies that a service answers."""
    async with running(svc) as env:
        return [(await env.client(svc).get(path)).json() for path in paths]


@pytest.mark.parametrize("prefix", ["/items", "items", "/items/", "items/"])
async def test_a_prefix_may_be_written_with_and_without_slashes(prefix: str) -> None:
    @Controller(prefix)
    class Items:
        @GET("/x")
        def x(self) -> str:
            return "x"

        @GET("y")
        def y(self) -> str:
            return "y"

    assert await answers(with_controller(Items), "/items/x", "/items/y") == ["x", "y"]


@pytest.mark.parametrize(("version", "base"), [(None, "/items"), ("v1", "/v1/items"), ("/v2/", "/v2/items")])
async def test_a_root_route_answers_with_and_without_a_slash_and_without_a_redirect(
    version: str | None, base: str
) -> None:
    @Controller("/items", version=version)
    class Items:
        @GET("/")
        def every(self) -> str:
            return "all"

        @POST("/")
        def create(self, item: dict[str, int]) -> dict[str, int]:
            return item

    svc = with_controller(Items)
    async with running(svc) as env:
        client = env.client(svc, follow_redirects=False)
        for path in (base, base + "/"):
            replies: list[httpx2.Response] = [await client.get(path), await client.post(path, json={"a": 1})]
            assert [reply.status_code for reply in replies] == [200, 200]
            assert [reply.json() for reply in replies] == ["all", {"a": 1}]
        assert (await client.get("/items" if version else "/v1/items")).status_code == 404
    assert list(svc.app.openapi()["paths"]) == [base]


async def test_a_controller_without_a_prefix_answers_at_the_root() -> None:
    @Controller()
    class Root:
        @GET("/")
        def root(self) -> str:
            return "root"

        @GET("/x")
        def x(self) -> str:
            return "x"

    assert await answers(with_controller(Root), "/", "/x") == ["root", "x"]


@pytest.mark.parametrize(
    "target", [Base, Base(), len, "Base", None], ids=["a class", "an instance", "a function", "a text", "None"]
)
def test_what_is_no_controller_is_refused_where_it_is_registered(target: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="@Controller"):
        ServiceBuilder("a").register_controller(target)


def test_a_controller_without_a_route_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="none of its methods has a route"):
        with_controller(Controller("/x")(type("Empty", (), {}))).compile()


def test_controller_stands_on_a_class_only() -> None:
    with pytest.raises(InvalidDeclaration, match="it stands on a class"):
        Controller("/x")(lambda: None)  # type: ignore[type-var]


def test_an_unknown_option_of_a_controller_is_refused_with_a_hint() -> None:
    with pytest.raises(UnknownOption, match="write 'priority' instead"):
        Controller("/x", prioritty="high")(Base)


@pytest.mark.parametrize("above", [True, False])
def test_a_class_level_intent_may_stand_above_and_below_the_controller(above: bool) -> None:
    marks: list[Any] = [Intent(ttl=5), Controller("/x")]
    kind: Any = type("Items", (Base,), {})
    for mark in reversed(marks) if above else marks:
        kind = mark(kind)
    assert {row.intent for row in with_controller(kind).endpoints} == {Intent(ttl=5)}


async def test_an_endpoint_may_have_a_version_of_its_own() -> None:
    @Controller("/items", version="v1")
    class Items:
        @GET("/old")
        def old(self) -> str:
            return "old"

        @GET("/new", version="v2")
        def new(self) -> str:
            return "new"

    svc = with_controller(Items)
    svc.get("/items/newest", version="v3")(lambda: "newest")
    paths = ("/v1/items/old", "/v2/items/new", "/v3/items/newest")
    assert await answers(svc, *paths) == ["old", "new", "newest"]


@pytest.mark.parametrize("version", ["", "/", 1, True], ids=repr)
def test_a_version_that_is_no_text_is_refused(version: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="version"):
        Controller("/x", version=version)(Base)


def test_two_controllers_on_one_prefix_are_refused_only_where_they_collide() -> None:
    @Controller("/items")
    class Other:
        @GET("/other")
        def other(self) -> None: ...

    @Controller("/items/")
    class Same:
        @GET("/other/")
        def same(self) -> None: ...

        @GET("/{anything}")
        def beside(self, anything: str) -> None: ...

    kind = Controller("/items")(type("First", (Base,), {}))
    assert len(with_controller(kind, Other, Same).endpoints) == 4
    with pytest.raises(DuplicateEndpoint, match=r"x .* and x"):
        with_controller(kind, Controller("items")(type("Second", (Base,), {}))).compile()


def test_a_root_route_owns_the_path_with_and_without_the_slash() -> None:
    @Controller("/items")
    class Items:
        @GET("/")
        def every(self) -> None: ...

    for path in ("/items", "/items/"):
        svc = with_controller(Items)
        svc.get(path)(lambda: None)
        with pytest.raises(DuplicateEndpoint):
            svc.compile()
