"""Both syntaxes compile to the same rows, and the two services they make answer alike."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from evox import DELETE, GET, POST, Body, Controller, Intent, Method, Param, Priority, Query, Service, ServiceBuilder
from evox.errors import DuplicateEndpoint, InvalidDeclaration, UnbindableParameter, UnknownOption
from evox.services.controllers import Verb
from evox.testing import running


class Item(BaseModel):
    name: str
    price: float = 1.0


def by_functions() -> Service:
    svc = ServiceBuilder("items")

    @svc.get("/items/{item_id}", priority="high", cache="1h", fallback="aggressive", max_stale="24h", tags=["a"])
    @Intent(consistency="eventual")
    async def read(item_id: int = Param(), verbose: bool = Query(False)) -> dict[str, Any]:
        """Read one."""
        return {"id": item_id, "verbose": verbose}

    @svc.post("/items", timeout=5, idempotent=True, on_disconnect="cancel", tags=["a"])
    async def create(item: Item = Body()) -> Item | tuple[Item, int]:
        return item, 201

    @svc.endpoint("/items/{item_id}/lock", methods=["PUT", "DELETE"], private=True, tags=["a"])
    def lock(method: Method, item_id: int) -> str:
        return f"{method} {item_id}"

    return svc


def by_classes() -> Service:
    svc = ServiceBuilder("items")

    @svc.register_controller
    @Controller("/items", tags=["a"])
    class Items:
        @Intent(consistency="eventual")
        @GET("/{item_id}", priority=Priority.HIGH, cache=3600, fallback="aggressive", max_stale=timedelta(days=1))
        async def read(self, item_id: int = Param(), verbose: bool = Query(False)) -> dict[str, Any]:
            """Read one."""
            return {"id": item_id, "verbose": verbose}

        @POST("", timeout="5s", idempotent=True, on_disconnect="cancel")
        async def create(self, item: Item = Body()) -> Item | tuple[Item, int]:
            return item, 201

        @Verb("/{item_id}/lock", methods=["PUT", "DELETE"], private=True)
        def lock(self, method: Method, item_id: int) -> str:
            return f"{method} {item_id}"

    return svc


def test_both_syntaxes_compile_to_equal_rows() -> None:
    assert by_functions().endpoints == by_classes().endpoints


def test_both_syntaxes_give_equal_documents() -> None:
    assert by_functions().app.openapi() == by_classes().app.openapi()


@pytest.mark.parametrize("make", [by_functions, by_classes])
async def test_both_syntaxes_answer_alike(make: Any) -> None:
    async with running(make()) as env:
        client = env.client("items")
        assert (await client.get("/items/3?verbose=true")).json() == {"id": 3, "verbose": True}
        assert (await client.get("/items/x")).status_code == 422
        created = await client.post("/items", json={"name": "pen"})
        assert (created.status_code, created.json()) == (201, {"name": "pen", "price": 1.0})
        assert (await client.put("/items/3/lock")).status_code == 403  # private
        assert "/items/{item_id}/lock" not in (await client.get("/openapi.json")).json()["paths"]


def test_a_difference_in_any_option_makes_rows_differ() -> None:
    svc = ServiceBuilder("items")

    @svc.get("/items/{item_id}", priority="low", tags=["a"])
    async def read(item_id: int = Param(), verbose: bool = Query(False)) -> dict[str, Any]:
        return {}

    assert svc.endpoints[0] != by_functions().endpoints[0]


def test_a_method_overrides_its_controller_key_by_key() -> None:
    svc = ServiceBuilder("items")

    @Controller("/items", tags=["all"], version="v1", priority="low", cache=60)
    @Intent(cacheable=True, consistency="eventual")
    class Items:
        @GET("/", tags=["list"], cache="5m")
        @Intent(ttl=300)
        async def all(self) -> list[str]:
            return []

        @DELETE("/{name}", priority="high")
        async def drop(self, name: str) -> None: ...

    everything, drop = svc.register_controller(Items).endpoints
    assert (everything.path, everything.both_slashes, everything.priority) == ("/v1/items", True, Priority.LOW)
    assert (everything.cache, everything.options["tags"]) == (300.0, ["all", "list"])
    assert everything.intent == Intent(cacheable=True, ttl=300, consistency="eventual")
    assert (drop.path, drop.priority, drop.cache) == ("/v1/items/{name}", Priority.HIGH, 60.0)


def test_decorators_may_stand_in_either_order() -> None:
    svc = ServiceBuilder("a")

    @Intent(ttl=5)
    @svc.get("/above")
    async def above() -> None: ...

    @svc.get("/below")
    @Intent(ttl=5)
    async def below() -> None: ...

    assert [row.intent for row in svc.endpoints] == [Intent(ttl=5), Intent(ttl=5)]


def test_an_intent_that_comes_after_compiling_is_refused() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/x")
    async def x() -> None: ...

    svc.compile()
    with pytest.raises(RuntimeError, match="too late"):
        Intent(ttl=5)(x)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"priority": "urgent"}, InvalidDeclaration),
        ({"cache": "soon"}, InvalidDeclaration),
        ({"cache": 0}, InvalidDeclaration),
        ({"timeout": -1}, InvalidDeclaration),
        ({"fallback": "gentle", "cache": 1}, InvalidDeclaration),
        ({"on_disconnect": "wait"}, InvalidDeclaration),
        ({"private": "yes"}, InvalidDeclaration),
        ({"prioritty": "high"}, UnknownOption),
    ],
)
def test_options_that_do_not_fit_are_refused_where_they_are_written(options: Any, error: type[Exception]) -> None:
    svc = ServiceBuilder("a")
    with pytest.raises(error):

        @svc.get("/x", **options)
        async def x() -> None: ...


def test_max_stale_without_a_fallback_and_a_fallback_without_a_cache_are_refused() -> None:
    for options in ({"cache": 1, "max_stale": 5}, {"fallback": "aggressive"}):
        svc = ServiceBuilder("a")

        @svc.get("/x", **options)
        async def x() -> None: ...

        with pytest.raises(InvalidDeclaration):
            svc.compile()


def test_two_handlers_on_one_method_and_path_are_refused_whatever_their_parameters_are_called() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/users/{user_id}")
    async def one(user_id: str) -> None: ...

    @svc.get("/users/{name}")
    async def other(name: str) -> None: ...

    with pytest.raises(DuplicateEndpoint, match=r"one .* and other"):
        svc.compile()


def test_a_route_on_a_built_in_path_is_refused_unless_health_is_moved() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/health")
    async def health() -> str:
        return "mine"

    with pytest.raises(DuplicateEndpoint, match="built-in"):
        svc.compile()


@pytest.mark.parametrize("name", ["args", "kwargs", "positional", "unknown"])
def test_parameters_that_nothing_can_fill_are_refused(name: str) -> None:
    class Opaque:
        pass

    async def args(*values: int) -> None: ...

    async def kwargs(**values: int) -> None: ...

    async def positional(value: int, /) -> None: ...

    async def unknown(value: Opaque) -> None: ...

    svc = ServiceBuilder("a")
    svc.get("/x")(locals()[name])
    with pytest.raises(UnbindableParameter):
        svc.compile()
