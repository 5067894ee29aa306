"""Annotations that are text, as `from __future__ import annotations` makes them, work like those that are objects."""

from collections.abc import Callable
from types import ModuleType
from typing import TypeAlias

import pytest

from evox.errors import DeclarationError
from evox.testing import running

Load: TypeAlias = Callable[[str], ModuleType]

FUNCTIONS = """
    from __future__ import annotations

    from typing import Annotated, Any

    from fastapi import BackgroundTasks, WebSocket
    from pydantic import BaseModel

    from evox import Body, Depends, Header, Method, Query, Request, Response, inject, service

    svc = service("text")


    class Item(BaseModel):
        name: str


    class Repo:
        def __init__(self, clock: Clock) -> None:
            self.clock = clock


    class Clock:
        name = "clock"


    def user(x_user: Annotated[str, Header()] = "nobody") -> str:
        return x_user


    @svc.put("/items/{item_id}")
    async def replace(item_id: int, item: Item, request: Request, response: Response) -> Item | tuple[dict, int]:
        response.headers["x-path"] = request.url.path
        return item, 200 + item_id


    @svc.endpoint("/method", methods=["GET", "DELETE"])
    def method(method: Method, q: Annotated[int, Query()] = 1) -> list[Any]:
        return [method, q]


    @svc.get("/pair")
    async def pair() -> tuple[str, int]:
        return "a", 404


    @svc.get("/injected")
    async def injected(a: Annotated[Repo, inject(Repo)], who: Annotated[str, Depends(user)], b=inject(Repo)) -> Any:
        return [a is b, a.clock.name, who]


    @svc.get("/bare")
    async def bare(repo: inject(Repo)) -> str:
        return repo.clock.name


    @svc.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(inject(Clock).name)
"""

CLASSES = """
    from __future__ import annotations

    from pydantic import BaseModel

    from evox import GET, POST, Controller, Method, Param, inject, service

    svc = service("text")


    class Item(BaseModel):
        name: str


    class Repo:
        items: list[Item] = []


    @svc.register_controller
    @Controller("/items")
    class Items:
        def __init__(self, repo: Repo, again: Repo = inject(Repo)) -> None:
            assert repo is again
            self.repo = repo

        @POST("/")
        async def create(self, item: Item, method: Method) -> Item | tuple[dict[str, str], int]:
            return item, 201

        @GET("/{item_id}")
        def read(self, item_id: int = Param()) -> dict[str, int]:
            return {"id": item_id}
"""


async def test_functions_with_text_annotations_answer(load: Load) -> None:
    async with running(load(FUNCTIONS).svc) as env:
        client = env.client("text")
        replaced = await client.put("/items/3", json={"name": "pen", "more": 1})
        assert (replaced.status_code, replaced.json()) == (203, {"name": "pen"})
        assert replaced.headers["x-path"] == "/items/3"
        assert (await client.put("/items/x", json={})).status_code == 422
        assert (await client.delete("/method?q=2")).json() == ["DELETE", 2]
        assert (await client.get("/pair")).json() == ["a", 404]


async def test_functions_with_text_annotations_are_injected(load: Load) -> None:
    async with running(load(FUNCTIONS).svc) as env:
        client = env.client("text")
        assert (await client.get("/injected", headers={"x-user": "ada"})).json() == [True, "clock", "ada"]
        assert (await client.get("/bare")).json() == "clock"
        async with env.websocket("text", "/ws") as socket:
            assert await socket.receive() == "clock"


async def test_classes_with_text_annotations_answer(load: Load) -> None:
    async with running(load(CLASSES).svc) as env:
        client = env.client("text")
        created = await client.post("/items", json={"name": "pen", "more": 1})
        assert (created.status_code, created.json()) == (201, {"name": "pen"})
        assert (await client.get("/items/4")).json() == {"id": 4}
        assert (await client.get("/items/x")).json()["detail"][0]["loc"] == ["path", "item_id"]


@pytest.mark.parametrize("source", [FUNCTIONS, CLASSES], ids=["functions", "classes"])
def test_text_annotations_compile_to_the_rows_and_documents_of_real_ones(load: Load, source: str) -> None:
    plain = source.replace("from __future__ import annotations", "").replace("clock: Clock", "clock: 'Clock'")
    text, real = load(source).svc, load(plain).svc
    assert [(row.name, row.path, row.methods) for row in text.endpoints] == [
        (row.name, row.path, row.methods) for row in real.endpoints
    ]
    assert text.app.openapi() == real.app.openapi()


@pytest.mark.parametrize(
    ("parameters", "returns"),
    [("item: Itme", "None"), ("repo: inject(Itme)", "None"), ("q: int = 1", "Itme"), ("q: int = 1", "list[Itme]")],
)
def test_a_name_in_an_annotation_that_does_not_exist_is_refused_and_named(
    load: Load, parameters: str, returns: str
) -> None:
    """FastAPI would take such a parameter for a query text, and answer 500 for such a return type."""
    module = load(f"""
    from __future__ import annotations
    from typing import TYPE_CHECKING

    from evox import inject, service

    if TYPE_CHECKING:
        from somewhere import Itme

    svc = service("text")

    @svc.get("/x")
    async def x({parameters}) -> {returns}: ...
    """)
    with pytest.raises(DeclarationError, match="Itme"):
        module.svc.compile()
