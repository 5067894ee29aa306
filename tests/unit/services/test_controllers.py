"""Class syntax: which methods become endpoints, and whose instance they are called on."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from evox import DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, Controller, Service, ServiceBuilder
from evox.errors import InvalidDeclaration
from evox.testing import running


def with_controller(*controllers: type) -> Service:
    svc = ServiceBuilder("a")
    for controller in controllers:
        svc.register_controller(controller)
    return svc


async def answers(svc: Service, *paths: str) -> list[Any]:
    """Return the bodies that a service answers; a status where it is not 200."""
    async with running(svc) as env:
        replies = [await env.client(svc).get(path) for path in paths]
    return [reply.json() if reply.status_code == 200 else reply.status_code for reply in replies]


class Base:
    @GET("/inherited")
    async def inherited(self) -> str:
        return f"inherited by {type(self).__name__}"

    @GET("/replaced")
    async def replaced(self) -> str:
        return "base"

    @GET("/kept")
    async def kept(self) -> str:
        return "base"


@Controller("/sub")
class Sub(Base):
    @GET("/new-path")
    async def replaced(self) -> str:
        return "sub"

    async def kept(self) -> str:
        return "sub"


async def test_routes_of_base_classes_are_served_by_the_subclass() -> None:
    assert await answers(with_controller(Sub), "/sub/inherited") == ["inherited by Sub"]


async def test_a_method_with_a_route_of_its_own_replaces_the_inherited_one() -> None:
    assert await answers(with_controller(Sub), "/sub/new-path", "/sub/replaced") == ["sub", 404]


async def test_a_method_that_overrides_without_a_route_keeps_the_inherited_route() -> None:
    """Nothing declared is lost silently: the route is there, and it calls the method that Python would call."""
    assert await answers(with_controller(Sub), "/sub/kept") == ["sub"]


async def test_two_subclasses_of_one_base_are_served_beside_each_other() -> None:
    one = Controller("/one")(type("One", (Base,), {}))
    two = Controller("/two")(type("Two", (Base,), {}))
    found = await answers(with_controller(one, two), "/one/inherited", "/two/inherited")
    assert found == ["inherited by One", "inherited by Two"]


def test_the_controller_mark_is_not_inherited() -> None:
    class Plain(Sub): ...

    with pytest.raises(InvalidDeclaration, match="@Controller"):
        with_controller(Plain)


@Controller("/bound")
class Bound:
    name = "Bound"

    @staticmethod
    @GET("/static-below/{x}")
    async def static_below(x: int) -> str:
        return f"static {x}"

    @GET("/static-above/{x}")
    @staticmethod
    def static_above(x: int) -> str:
        return f"static {x}"

    @classmethod
    @GET("/class-below/{x}")
    async def class_below(cls, x: int) -> str:
        return f"{cls.name} {x}"

    @GET("/class-above/{x}")
    @classmethod
    def class_above(cls, x: int) -> str:
        return f"{cls.name} {x}"

    @GET("/plain/{x}")
    def plain(self, x: int) -> str:
        return f"{self.name} {x}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("static-below", "static 1"),
        ("static-above", "static 1"),
        ("class-below", "Bound 1"),
        ("class-above", "Bound 1"),
        ("plain", "Bound 1"),
    ],
)
async def test_static_and_class_methods_may_be_routes_with_the_decorators_in_either_order(
    path: str, expected: str
) -> None:
    assert await answers(with_controller(Bound), f"/bound/{path}/1") == [expected]


async def test_one_method_may_have_several_routes() -> None:
    @Controller("/items")
    class Items:
        @GET("/b")
        @GET("/a")
        @POST("/c", status_code=201)
        async def same(self) -> str:
            return "same"

    svc = with_controller(Items)
    assert [row.path for row in svc.endpoints] == ["/items/c", "/items/a", "/items/b"]  # as Python runs decorators
    async with running(svc) as env:
        client = env.client(svc)
        assert [(await client.get(path)).json() for path in ("/items/a", "/items/b")] == ["same", "same"]
        assert (await client.post("/items/c")).status_code == 201


@pytest.mark.parametrize("verb", [GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS], ids=lambda one: str(one.__name__))
async def test_every_method_has_its_decorator(verb: Any) -> None:
    async def handle(self: object) -> None: ...

    svc = with_controller(Controller("/items")(type("Items", (), {"handle": verb("/x")(handle)})))
    async with running(svc) as env:
        assert (await env.client(svc).request(verb.__name__, "/items/x")).status_code == 200
        assert (await env.client(svc).request("TRACE", "/items/x")).status_code == 405


class Counter:
    made = 0


@Controller("/counted")
class Counted:
    def __init__(self, counter: Counter) -> None:
        counter.made += 1
        self.counter = counter

    @GET("/async")
    async def made(self) -> list[int]:
        return [self.counter.made, id(self)]

    @GET("/sync")
    def made_sync(self) -> list[int]:
        return [self.counter.made, id(self)]


async def test_a_running_service_has_one_instance_made_through_injection() -> None:
    first, second, third = await answers(with_controller(Counted), "/counted/async", "/counted/sync", "/counted/async")
    assert first == second == third
    assert first[0] == 1


async def test_every_run_has_an_instance_of_its_own() -> None:
    svc = with_controller(Counted)
    async with running(svc) as one:
        before = one.service(svc).resolve(Counted)
    async with running(svc) as two:
        assert two.service(svc).resolve(Counted) is not before


async def test_generators_of_a_controller_stream() -> None:
    @Controller("/streams")
    class Streams:
        words = ("one", "two")

        @GET("/async")
        async def parts(self) -> AsyncIterator[str]:
            for word in self.words:
                yield word

        @GET("/sync")
        def parts_sync(self) -> Iterator[str]:
            yield from self.words

    async with running(with_controller(Streams)) as env:
        replies = [await env.client("a").get(path) for path in ("/streams/async", "/streams/sync")]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert all("one" in reply.text and "two" in reply.text for reply in replies)
