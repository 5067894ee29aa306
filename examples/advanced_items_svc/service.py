"""Items in class syntax: a controller for items, and one for a summary that a background task keeps up to date."""

from collections import defaultdict
from itertools import count
from statistics import mean
from typing import Annotated, TypeAlias

from pydantic import BaseModel, Field

from evox import DELETE, GET, PATCH, POST, PUT, Body, Controller, Intent, Param, Query, ServiceBuilder, inject

Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Price: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# `return {"error": ...}, 404` answers with that status; the type beside it in an annotation is what the docs show.
Problem: TypeAlias = tuple[dict[str, str], int]


class ItemCreate(BaseModel):
    name: Text
    description: str = ""
    price: Price
    category: Text


class ItemUpdate(BaseModel):
    name: Text | None = None
    description: str | None = None
    price: Price | None = None
    category: Text | None = None


class Item(ItemCreate):
    id: str


class Category(BaseModel):
    """What the summary says of one category."""

    items: int
    average_price: float


class ItemStore:
    """All items. Injection makes one for each running service, so two runs never see each other's items."""

    def __init__(self) -> None:
        self.is_open = False
        self.summary: dict[str, Category] = {}
        self._items: dict[str, Item] = {}
        self._ids = count(1)

    def add(self, new: ItemCreate) -> Item:
        return self.put(str(next(self._ids)), new)

    def get(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    def put(self, item_id: str, new: ItemCreate) -> Item:
        item = self._items[item_id] = Item(id=item_id, **new.model_dump(exclude={"id"}))
        return item

    def remove(self, item_id: str) -> Item | None:
        return self._items.pop(item_id, None)

    def find(
        self, category: str | None = None, min_price: float | None = None, max_price: float | None = None
    ) -> list[Item]:
        return [
            item
            for item in self._items.values()
            if (category is None or item.category == category)
            and (min_price is None or item.price >= min_price)
            and (max_price is None or item.price <= max_price)
        ]

    def summarize(self) -> None:
        prices: dict[str, list[float]] = defaultdict(list)
        for item in self._items.values():
            prices[item.category].append(item.price)
        self.summary = {name: Category(items=len(of), average_price=mean(of)) for name, of in prices.items()}


@Controller("/items", tags=["items"], version="v1")
@Intent(cacheable=True)  # for all methods; each may say more, or otherwise
class ItemsController:
    """CRUD at ``/v1/items``. Made by injection, once for each running service."""

    def __init__(self, items: ItemStore) -> None:
        self.items = items

    @GET("/", priority="low")
    @Intent(ttl="5m")
    async def list_items(
        self,
        category: str | None = Query(None),
        min_price: float | None = Query(None, ge=0),
        max_price: float | None = Query(None, ge=0),
    ) -> list[Item]:
        return self.items.find(category, min_price, max_price)

    @POST("/", status_code=201)
    @Intent(consistency="strong")
    async def create_item(self, new: ItemCreate = Body()) -> Item:
        return self.items.add(new)

    @GET("/{item_id}", priority="high")
    @Intent(ttl="10m")
    async def get_item(self, item_id: str = Param()) -> Item | Problem:
        return self.items.get(item_id) or self._not_found(item_id)

    @PUT("/{item_id}")
    async def replace_item(self, item_id: str = Param(), new: ItemCreate = Body()) -> Item | Problem:
        if self.items.get(item_id) is None:
            return self._not_found(item_id)
        return self.items.put(item_id, new)

    @PATCH("/{item_id}")
    async def change_item(self, item_id: str = Param(), changes: ItemUpdate = Body()) -> Item | Problem:
        item = self.items.get(item_id)
        if item is None:
            return self._not_found(item_id)
        return self.items.put(item_id, item.model_copy(update=changes.model_dump(exclude_none=True)))

    @DELETE("/{item_id}")
    async def delete_item(self, item_id: str = Param()) -> Item | Problem:
        """Delete an item and return what it was."""
        return self.items.remove(item_id) or self._not_found(item_id)

    def _not_found(self, item_id: str) -> Problem:
        return {"error": f"Item {item_id} not found"}, 404


@Controller("/summary", tags=["reports"], version="v1", priority="low")
class SummaryController:
    def __init__(self, items: ItemStore) -> None:
        self.items = items

    @GET("/")
    async def read_summary(self) -> dict[str, Category]:
        """Items and average price of each category, at most five seconds old."""
        return self.items.summary


svc = ServiceBuilder("advanced-items-service").port(8002)
svc.register_controller(ItemsController).register_controller(SummaryController)


@svc.on_startup
async def open_store() -> None:
    items = inject(ItemStore)
    items.is_open = True
    items.add(ItemCreate(name="Lamp", description="for the desk", price=25, category="home"))
    items.add(ItemCreate(name="Kettle", description="whistles", price=40, category="kitchen"))


@svc.on_shutdown
async def close_store() -> None:
    inject(ItemStore).is_open = False


@svc.health_check("store")
async def store_is_open() -> bool:
    return inject(ItemStore).is_open


@svc.background_task(interval="5s")
async def summarize() -> None:
    inject(ItemStore).summarize()
