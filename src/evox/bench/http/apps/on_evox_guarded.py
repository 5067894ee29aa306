"""Evox, for the question about tokens: a service that asks for a role."""

from pydantic import BaseModel

from evox import service
from evox.core import auth


class Item(BaseModel):
    """What a path parameter leads to."""

    item_id: int
    name: str


svc = service("guarded")


@svc.get("/authorised/{item_id}")
@auth.require_roles("admin")
async def read_item(item_id: int) -> Item:
    """Return what the path says, to whom may see it."""
    return Item(item_id=item_id, name=f"item {item_id}")
