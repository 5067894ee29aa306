"""A small shop that says what it wants of its data, and leaves to Evox where and how that is kept.

Orders are records and must never be lost or stale. Products are copies of what a supplier knows, and may be old while
the supplier cannot be reached; they are fresh for two seconds only, so that nobody who tries it waits long to see that.
Visits are neither important nor urgent.
"""

from typing import TypeVar

from pydantic import BaseModel, Field

from evox import Body, DataEvent, HTTPException, Param, ServiceBuilder, data_intent, data_io, inject

T = TypeVar("T")


@data_intent.strong_consistency(key="id")
class Order(BaseModel):
    """A record: kept until it is deleted, and every read gives what was written last."""

    id: str
    product: str
    quantity: int = Field(ge=1)


@data_intent.cacheable(ttl="2s", consistency="eventual", key="id", fallback="aggressive", max_stale="24h")
class Product(BaseModel):
    """A copy: fresh for two seconds, and served for a day longer while the supplier cannot be reached."""

    id: str
    name: str
    price: float


@data_intent.eventual_ok(key="visitor")
class Visit(BaseModel):
    """A record that other processes may see a little later."""

    visitor: str
    product: str


class Supplier:
    """Somebody else's system. It can be switched off, to see what happens then."""

    def __init__(self) -> None:
        self.is_on = True
        self.asked = 0
        self.products = {
            "lamp": Product(id="lamp", name="Lamp", price=25),
            "sofa": Product(id="sofa", name="Sofa", price=300),
        }

    async def product(self, product_id: str) -> Product | None:
        self._answer()
        return self.products.get(product_id)

    async def rates(self) -> dict[str, float]:
        self._answer()
        return {"EUR": 1.0, "USD": 1.1}

    def _answer(self) -> None:
        self.asked += 1
        if not self.is_on:
            raise ConnectionError("the supplier does not answer")


class Ledger:
    """What has been ordered, kept up to date by a signal."""

    def __init__(self) -> None:
        self.ordered: dict[str, int] = {}


svc = ServiceBuilder("storage-demo-service").port(8003)


@svc.post("/orders", status_code=201)
async def place_order(order: Order = Body()) -> Order:
    await data_io.write(Order, order)  # its key is its id
    return order


@svc.get("/orders/{order_id}", priority="high")
async def read_order(order_id: str = Param()) -> Order:
    return _found(await data_io.read(Order, order_id), f"order {order_id}")


@svc.delete("/orders/{order_id}")
async def cancel_order(order_id: str = Param()) -> dict[str, bool]:
    return {"deleted": await data_io.delete(Order, order_id)}


@svc.get("/products/{product_id}")
async def read_product(product_id: str = Param()) -> Product:
    supplier = inject(Supplier)
    return _found(await data_io.read(Product, product_id, loader=supplier.product), f"product {product_id}")


@svc.post("/products/{product_id}/forget")
async def forget_product(product_id: str = Param()) -> dict[str, int]:
    return {"copies": await data_io.invalidate(Product, product_id)}


@svc.put("/visits/{visitor}")
async def note_visit(visitor: str = Param(), product: str = Body(embed=True)) -> Visit:
    visit = Visit(visitor=visitor, product=product)
    await data_io.write(Visit, visit)
    return visit


@svc.get("/visits/{visitor}")
async def read_visit(visitor: str = Param()) -> Visit:
    return _found(await data_io.read(Visit, visitor), f"visit of {visitor}")


@svc.get("/rates", cache="2s", fallback="aggressive", max_stale="24h", priority="low")
async def read_rates() -> dict[str, float]:
    """The whole answer is kept: for two seconds nobody is asked, and for a day it is better than none."""
    return await inject(Supplier).rates()


@svc.get("/ledger")
async def read_ledger() -> dict[str, int]:
    return inject(Ledger).ordered


@svc.put("/supplier")
async def switch_supplier(on: bool = Body(embed=True)) -> dict[str, bool]:
    inject(Supplier).is_on = on
    return {"on": on}


@data_io.on("written", Order)
async def count_order(event: DataEvent) -> None:
    """Runs beside the request, when the order is stored."""
    ordered = inject(Ledger).ordered
    ordered[event.value.product] = ordered.get(event.value.product, 0) + event.value.quantity


def _found(value: T | None, what: str) -> T:
    if value is None:
        raise HTTPException(404, f"there is no {what}")
    return value
