"""A user service as a file of its own, for tests that run it in another process."""

import os

from pydantic import BaseModel

from evox import Request, ServiceBuilder
from evox.core import auth

__all__ = ["User", "users"]


class User(BaseModel):
    id: int
    name: str


users = ServiceBuilder("user-service")


@users.get("/users/{user_id}")
async def get_user(user_id: int) -> User:
    return User(id=user_id, name="Ada")


@users.get("/pid")
async def pid() -> int:
    return os.getpid()


@users.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return dict(request.headers)


@users.get("/who", private=True)
async def who() -> dict[str, object]:
    caller = auth.current()
    return {"kind": caller.kind, "subject": caller.subject, "roles": sorted(caller.roles), "chain": list(caller.chain)}
