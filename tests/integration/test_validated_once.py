"""A body is validated once, as FastAPI does: what a validator does to it is not done again."""

from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from pydantic import BaseModel, model_validator
from tests.lanes import running

from evox import Service, service


class Renamed(BaseModel):
    """Takes an old name of a field."""

    name: str
    age: int

    @model_validator(mode="before")
    @classmethod
    def rename(cls, data: Any) -> Any:
        """Move a value."""
        data["name"] = data.pop("title")
        return data


class Wrapped(BaseModel):
    """Takes one number for many."""

    numbers: list[int]

    @model_validator(mode="before")
    @classmethod
    def wrap(cls, data: Any) -> Any:
        """Make a list of it."""
        data["numbers"] = [data["numbers"]]
        return data


async def renamed(item: Renamed) -> Renamed:
    return item


async def wrapped(item: Wrapped) -> Wrapped:
    return item


def declare(api: Any) -> None:
    api.post("/renamed")(renamed)
    api.post("/wrapped")(wrapped)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/renamed", {"title": "x", "age": 3}),
        ("/renamed", {"title": "x", "age": "old"}),
        ("/wrapped", {"numbers": 1}),
        ("/wrapped", {"numbers": "one"}),
    ],
)
async def test_a_body_that_a_validator_changes_is_answered_as_by_fastapi(path: str, body: dict[str, Any]) -> None:
    svc: Service = service("once")
    plain = FastAPI()
    declare(svc)
    declare(plain)
    async with running(svc, raise_errors=False) as env:
        found = await env.client(svc).post(path, json=body)
    async with AsyncClient(transport=ASGITransport(app=plain), base_url="http://plain") as client:
        expected = await client.post(path, json=body)
    assert (found.status_code, found.json()) == (expected.status_code, expected.json())
