"""The order service. It calls the user service as a function, and does not know where that runs."""

from evox import Body, ServiceBuilder, inject
from evox.core import proxy
from evox.errors import CallNotFound, CallRefused

from .contracts import NewOrder, Order, UserService

users = proxy(UserService)  # nothing is looked up before a call is awaited


class Orders:
    def __init__(self) -> None:
        self.all: list[Order] = []


svc = ServiceBuilder("order-service").port(8006)


@svc.post("/orders", status_code=201)
async def create_order(new: NewOrder = Body(), orders: Orders = inject(Orders)) -> Order | tuple[dict[str, str], int]:
    try:
        user = await users.charge(new.user_id, amount=new.price)
    except CallNotFound as error:
        return {"error": str(error.detail)}, 422
    except CallRefused as error:
        return {"error": str(error.detail)}, 409
    order = Order(id=len(orders.all) + 1, user=user.name, **new.model_dump())
    orders.all.append(order)
    return order


@svc.get("/orders")
async def list_orders(orders: Orders = inject(Orders)) -> list[Order]:
    """Show all orders with what their users are called now; without, while the user service is away."""
    ids = sorted({order.user_id for order in orders.all})
    calls = (proxy.user_service.get_user(one).with_fallback(None) for one in ids)
    found = await proxy.gather(*calls, concurrency=5)
    names = {user.id: user.name for user in found if user is not None}
    return [order.model_copy(update={"user": names.get(order.user_id)}) for order in orders.all]
