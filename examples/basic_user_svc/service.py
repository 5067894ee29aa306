"""Users in function syntax: create, read, update, delete, list and filter, with a welcome mail for each new one.

What it has to offer comes from the items service, which it calls as a function.
"""

from itertools import count
from typing import Annotated, TypeAlias

from pydantic import BaseModel, Field

from evox import Body, Intent, Method, Param, Query, ServiceBuilder, inject

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=80)]
Email: TypeAlias = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
Age: TypeAlias = Annotated[int, Field(ge=0, le=150)]

# `return {"error": ...}, 404` answers with that status; the type beside it in an annotation is what the docs show.
Problem: TypeAlias = tuple[dict[str, str], int]


class UserCreate(BaseModel):
    name: Name
    email: Email
    age: Age


class UserUpdate(BaseModel):
    name: Name | None = None
    email: Email | None = None
    age: Age | None = None


class User(UserCreate):
    id: str


class Offer(BaseModel, from_attributes=True):
    """What is used of an item, whether the items service's own type is known here or not."""

    name: str
    price: float


class UserStore:
    """All users. Injection makes one for each running service, so two runs never see each other's users."""

    def __init__(self) -> None:
        self.is_open = False
        self._users: dict[str, User] = {}
        self._ids = count(1)

    def add(self, new: UserCreate) -> User:
        user = User(id=str(next(self._ids)), **new.model_dump())
        self._users[user.id] = user
        return user

    def get(self, user_id: str) -> User | None:
        return self._users.get(user_id)

    def update(self, user: User, changes: UserUpdate) -> User:
        changed = user.model_copy(update=changes.model_dump(exclude_none=True))
        self._users[user.id] = changed
        return changed

    def remove(self, user: User) -> User:
        return self._users.pop(user.id)

    def find(self, name: str | None = None, min_age: int | None = None, max_age: int | None = None) -> list[User]:
        return [
            user
            for user in self._users.values()
            if (name is None or name.lower() in user.name.lower())
            and (min_age is None or user.age >= min_age)
            and (max_age is None or user.age <= max_age)
        ]


class Outbox:
    """Mails that were sent, the newest last."""

    keep = 100

    def __init__(self) -> None:
        self.mails: list[str] = []

    def tidy(self) -> None:
        del self.mails[: -self.keep]


svc = ServiceBuilder("basic-user-service").port(8001)

shop = inject.service("advanced-items-service")  # looked for when it is called, in this process or elsewhere


@svc.on_startup
async def open_store() -> None:
    inject(UserStore).is_open = True


@svc.on_shutdown
async def close_store() -> None:
    inject(UserStore).is_open = False


@svc.health_check("store")
async def store_is_open() -> bool:
    return inject(UserStore).is_open


@svc.background_task(interval="1m")
async def tidy_outbox() -> None:
    inject(Outbox).tidy()


async def send_welcome(user: User, outbox: Outbox) -> None:
    """Stands for a talk with a mail server."""
    outbox.mails.append(f"To {user.email}: Welcome, {user.name}!")


@svc.post("/users", status_code=201)
async def create_user(
    new: UserCreate = Body(), users: UserStore = inject(UserStore), outbox: Outbox = inject(Outbox)
) -> User:
    user = users.add(new)
    svc.start_soon(send_welcome, user, outbox)  # the reply does not wait for it, a shutdown does
    return user


@svc.get("/users", priority="low")
@Intent(cacheable=True, ttl="1m")
async def list_users(
    name: str | None = Query(None, description="part of the name"),
    min_age: int | None = Query(None, ge=0),
    max_age: int | None = Query(None, ge=0),
    users: UserStore = inject(UserStore),
) -> list[User]:
    return users.find(name, min_age, max_age)


@svc.endpoint("/users/{user_id}", methods=["GET", "PUT", "DELETE"], priority="high")
@Intent(cacheable=True)
async def one_user(
    method: Method,
    user_id: str = Param(),
    changes: UserUpdate | None = Body(None),
    users: UserStore = inject(UserStore),
) -> User | Problem:
    """Read a user, change the fields that are given, or delete the user and return what it was."""
    user = users.get(user_id)
    if user is None:
        return {"error": "User not found"}, 404
    if method == "DELETE":
        return users.remove(user)
    if method == "PUT":
        if changes is None:
            return {"error": "PUT needs a body with what to change"}, 422
        return users.update(user, changes)
    return user


@svc.get("/users/{user_id}/offers")
async def read_offers(user_id: str = Param(), users: UserStore = inject(UserStore)) -> list[str] | Problem:
    """What the items service has for up to 50; nothing while it is away."""
    user = users.get(user_id)
    if user is None:
        return {"error": "User not found"}, 404
    items = await shop.list_items(max_price=50).with_fallback([])
    return [f"{item.name}, {item.price:g} for you, {user.name}" for item in map(Offer.model_validate, items)]


@svc.get("/outbox")
async def read_outbox(outbox: Outbox = inject(Outbox)) -> list[str]:
    return outbox.mails
