"""A few endpoints for tests of what stands round compiled ones, and what they are asked."""

from contextvars import ContextVar
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query
from pydantic import BaseModel
from tests.twins import Twins

__all__ = ["PATHS", "Item", "OddError", "app_of", "ask_all", "crud", "seen"]


class Item(BaseModel):
    """What is kept."""

    name: str
    price: float = 1


class OddError(Exception):
    """One that apps may have a handler for."""


seen: ContextVar[str] = ContextVar("seen", default="nothing")


def app_of(target: FastAPI) -> FastAPI:
    """Return the app of a service, or the app itself."""
    found: FastAPI = getattr(target, "app", target)
    return found


def crud(target: FastAPI | APIRouter) -> None:
    """Declare what most tests ask for."""

    @target.get("/items/{item_id}")
    async def read(item_id: int, q: Annotated[str | None, Query(max_length=3)] = None) -> dict[str, Any]:
        if item_id == 404:
            raise HTTPException(404, "none", {"x-why": "gone"})
        if item_id == 500:
            raise RuntimeError("broken")
        if item_id == 418:
            raise OddError("odd")
        return {"id": item_id, "q": q, "seen": seen.get()}

    @target.post("/items", status_code=201)
    async def create(item: Item) -> Item:
        return item

    @target.put("/items/{item_id}")
    def replace(item_id: int, item: Item) -> dict[str, Any]:
        return {"id": item_id, "item": item, "seen": seen.get()}


PATHS = ("/items/1", "/items/2?q=ab", "/items/x", "/items/1?q=long", "/items/404", "/items/418", "/items/500", "/none")


async def ask_all(both: Twins) -> None:
    """Ask both for all of them, and hold them to the compiled path."""
    for path in PATHS:
        await both.get(path)
    for body in (b'{"name": "a"}', b"{", b"", b'{"name": 5}'):
        await both.post("/items", body)
        await both.post("/items/7", body, method="PUT")
    both.held()
