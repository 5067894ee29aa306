"""Answers to requests that may change something are never kept; who asks for that is told, and not left to find out."""

from typing import Any

import pytest

from evox import GET, POST, Controller, ServiceBuilder
from evox.errors import InvalidDeclaration


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("option", [{"cache": "30s"}, {"cache": "30s", "fallback": "aggressive"}])
def test_D6_an_option_that_could_have_no_effect_is_refused(method: str, option: dict[str, Any]) -> None:
    svc = ServiceBuilder("shop")

    @getattr(svc, method)("/items", **option)  # type: ignore[untyped-decorator]
    async def change() -> None: ...

    with pytest.raises(InvalidDeclaration, match=r"(?s)cache.*change.*put it on GET") as caught:
        svc.compile()
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


def test_D6_a_path_that_is_read_and_changed_may_be_kept_where_it_is_read() -> None:
    svc = ServiceBuilder("shop")

    @svc.endpoint("/items", methods=["GET", "PUT"], cache="30s")
    async def item() -> None: ...

    svc.compile()
    assert svc.endpoints[0].cache == 30


def test_D6_what_a_controller_says_of_all_its_methods_is_for_those_that_read() -> None:
    @Controller("/items", cache="30s")
    class Items:
        @GET("/")
        async def read(self) -> None: ...

        @POST("/")
        async def make(self) -> None: ...

    svc = ServiceBuilder("shop")
    svc.register_controller(Items)
    svc.compile()
    assert len(svc.endpoints) == 2
