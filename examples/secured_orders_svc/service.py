"""A shop that knows who calls: customers place orders, clerks send them, and everybody may look at the products.

Who may do what stands on endpoints, on a controller and on types of data. What said nothing would be for nobody.
"""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, Field

from evox import DELETE, GET, POST, PUT, Body, Controller, HTTPException, Param, ServiceBuilder, inject
from evox.core import auth, data_intent, data_io

Number: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]{1,12}$")]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
Responses: TypeAlias = dict[int | str, dict[str, Any]]


class ProductName(StrEnum):
    LAMP = "lamp"
    SOFA = "sofa"


class Product(BaseModel):
    name: ProductName
    price: float


class Stock(BaseModel):
    product: ProductName
    left: int


class Wish(BaseModel):
    product: ProductName
    quantity: int = Field(ge=1, le=100)


@data_intent.strong_consistency(key="id")
@auth.require_intent(intent_type="order_use", required_roles=["customer", "clerk"])
class Order(Wish):
    """A record. ``data_io`` hands it to customers and clerks alone, whatever endpoint it is asked from."""

    id: str
    sent: bool = False


@data_intent.strong_consistency(key="name")
@auth.require_intent(intent_type="report_use", required_roles=["clerk"])
class Report(BaseModel):
    """What has been ordered. A background task writes it: that works for the service itself, which may do all."""

    name: str = "orders"
    waiting: int = 0
    sent: int = 0


class Login(BaseModel):
    name: str = Field(max_length=80)
    password: str = Field(max_length=80)


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"  # noqa: S105  that is its type
    expires_in: int


class Me(BaseModel):
    name: str
    roles: list[str]


class Problem(BaseModel):
    detail: str


def also(told: dict[int, str]) -> Responses:
    """Tell the documentation of more answers. It knows those of the guard, 401 and 403, by itself."""
    return {status: {"model": Problem, "description": why} for status, why in told.items()}


PRODUCTS = [Product(name=ProductName.LAMP, price=25), Product(name=ProductName.SOFA, price=300)]
MINUTES = 15


@dataclass(frozen=True)
class User:
    """Somebody who can log in. What is kept of the password tells nobody what it is."""

    roles: tuple[str, ...]
    salt: bytes
    scrypt: bytes


# Passwords: "difference engine" and "nanosecond". A real shop keeps its users in a database, or leaves them to an
# identity provider, which then issues the tokens: [tool.evox.auth] jwks_url.
USERS = {
    "ada": User(
        ("customer",),
        bytes.fromhex("0e2c32a4ee58e502bc4979584dcd791b"),
        bytes.fromhex(
            "f0611a3ffeadd39af2ce2a4e4ad779eb4586e010055132938fda7477df075de7"
            "28823c32285c1919da7270a5e532be906ccaf4afebc0b796fcf404fa8ea58228"
        ),
    ),
    "grace": User(
        ("clerk",),
        bytes.fromhex("a14422ab60d6c11bbf4ea73202ad10c9"),
        bytes.fromhex(
            "1d95b6022218adcd7cdfce67c322cfaf3bc3541cd4b1f8ab186ebb21835d099a"
            "5488d7f29cae7c4900ee6ed8d14a3126844e4719a8279bb7ba875c0dd0aaadc8"
        ),
    ),
}
NOBODY = User((), secrets.token_bytes(16), secrets.token_bytes(64))


class Journal:
    """Which orders there are. Injection makes one for each running service."""

    def __init__(self) -> None:
        self.ids: set[str] = set()


class Warehouse:
    """What there is to be sent."""

    def __init__(self) -> None:
        self.left = {ProductName.LAMP: 120, ProductName.SOFA: 7}


svc = ServiceBuilder("secured-orders-service").port(8004)


@svc.post("/login", responses=also({400: "the body is no text", 401: "name or password is wrong"}))
@auth.public
def login(given: Login = Body()) -> Token:
    """Exchange a name and a password for a token.

    Hashing takes a while, so this is no ``async def``: it runs in a thread, and the loop goes on.
    """
    user = USERS.get(given.name, NOBODY)  # for a name that is not there as much is done, and it takes as long
    found = hashlib.scrypt(given.password.encode(), salt=user.salt, n=2**14, r=8, p=1)
    if not secrets.compare_digest(found, user.scrypt):
        raise HTTPException(401, "name or password is wrong", {"www-authenticate": "Bearer"})
    token = auth.issue(given.name, roles=user.roles, ttl=f"{MINUTES}m")
    return Token(access_token=token, expires_in=60 * MINUTES)


@svc.get("/products")
@auth.public
async def list_products() -> list[Product]:
    return PRODUCTS


@svc.get("/me")
@auth.require_intent(intent_type="profile_read")
async def read_me() -> Me:
    """For everybody whose token is good, whatever its roles."""
    who = auth.current()
    return Me(name=who.subject, roles=sorted(who.roles))


@Controller("/orders", tags=["orders"])
@auth.require_intent(intent_type="order_place", required_roles=["customer"])
class OrdersController:
    """A customer's own orders. Their key begins with who calls, so no number that is guessed gives another's."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @PUT("/{number}", responses=also({400: "the body is no text", 409: "it is on its way"}))
    async def place_order(self, number: Number = Param(), wish: Wish = Body()) -> Order:
        order = Order(id=f"{auth.current().subject}/{number}", **wish.model_dump())
        waits(await data_io.read(Order, order.id))
        await data_io.write(Order, order)
        self.journal.ids.add(order.id)
        return order

    @GET("/{number}", responses=also({404: "there is no such order"}))
    async def read_order(self, number: Number = Param()) -> Order:
        return await found(f"{auth.current().subject}/{number}")

    @DELETE("/{number}", responses=also({404: "there is no such order", 409: "it is on its way"}))
    async def cancel_order(self, number: Number = Param()) -> Order:
        """Cancel an order and return what it was."""
        order = await found(f"{auth.current().subject}/{number}")
        waits(order)
        await data_io.delete(Order, order.id)
        self.journal.ids.discard(order.id)
        return order

    @POST("/{customer}/{number}/send", responses=also({404: "there is no such order", 409: "it is on its way"}))
    @auth.require_intent(intent_type="order_send", required_roles=["clerk"])
    async def send_order(self, customer: Name = Param(), number: Number = Param()) -> Order:
        """For clerks, and not for customers: what a method says stands in place of what its controller says."""
        order = await found(f"{customer}/{number}")
        waits(order)
        sent = order.model_copy(update={"sent": True})
        await data_io.write(Order, sent)
        return sent


svc.register_controller(OrdersController)


@svc.get("/report", responses=also({404: "there is none yet"}))
@auth.require_intent(intent_type="report_read", required_roles=["clerk"])
async def read_report() -> Report:
    report = await data_io.read(Report, "orders")
    if report is None:
        raise HTTPException(404, "there is no report yet")
    return report


@svc.get("/stock/{product}", private=True)
async def read_stock(product: ProductName = Param()) -> Stock:
    """For other services. Nobody gets here from outside, whatever the token, and the documentation is silent."""
    return Stock(product=product, left=inject(Warehouse).left[product])


@svc.background_task(interval="1s")
async def write_report() -> None:
    """Nobody calls this. It works for the service itself, which may read every order and write the report."""
    orders = [await data_io.read(Order, one) for one in sorted(inject(Journal).ids)]
    sent = [order.sent for order in orders if order is not None]
    await data_io.write(Report, Report(waiting=sent.count(False), sent=sent.count(True)))


async def found(order_id: str) -> Order:
    order = await data_io.read(Order, order_id)
    if order is None:
        raise HTTPException(404, f"there is no order {order_id}")
    return order


def waits(order: Order | None) -> None:
    """Refuse to change what cannot be changed any more."""
    if order is not None and order.sent:
        raise HTTPException(409, f"order {order.id} is on its way")
