"""What the services know of each other: the data that goes between them, and the user service as a type."""

from typing import Protocol

from pydantic import BaseModel


class User(BaseModel):
    id: int
    name: str
    credit: int


class NewOrder(BaseModel):
    user_id: int
    product: str
    price: int


class Order(NewOrder):
    id: int
    user: str | None = None


class UserService(Protocol):
    """Methods have the names of the service's handlers; ``proxy(UserService)`` is ``user-service``, typed."""

    async def get_user(self, user_id: int) -> User: ...

    async def charge(self, user_id: int, amount: int) -> User: ...
