"""D6: a write takes away the answers of the path at which it arrived, also where middleware has changed that."""

from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.lanes import running

from evox import Service, service

pytestmark = pytest.mark.usefixtures("http1")


class Below:
    """Takes a prefix off the path, as gateways and versions of an API do."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["path"].removeprefix(self._prefix)}
        await self._app(scope, receive, send)


def items() -> Service:
    svc: Service = service("items")
    values: dict[str, int] = {"a": 1}

    @svc.get("/items", cache="1h")
    async def every() -> dict[str, int]:
        return values

    @svc.get("/items/{name}", cache="1h")
    async def one(name: str) -> Any:
        return values.get(name)

    @svc.put("/items/{name}")
    async def put(name: str, value: int) -> None:
        values[name] = value

    @svc.patch("/items/{name}")
    async def fails(name: str, value: int) -> None:
        values[name] = value
        raise ValueError("after all")

    svc.app.add_middleware(Below, prefix="/api")
    return svc


@pytest.mark.parametrize("sockets", [True, False])
@pytest.mark.parametrize("write", ["PUT", "PATCH"])
async def test_D6_a_write_by_another_path_than_the_endpoints_own_is_seen(sockets: bool, write: str) -> None:
    svc, value = items(), 1
    async with running(svc, sockets=sockets, raise_errors=False) as env:
        client = env.client(svc)
        for written_to in ("/api/items/a", "/items/a"):
            for path in ("/items/a", "/api/items/a"):
                assert [(await client.get(path)).json() for _ in range(2)] == [value] * 2
            assert (await client.get("/api/items")).json() == {"a": value}
            value += 1
            await client.request(write, written_to, params={"value": value})
            for prefix in ("", "/api"):
                assert (await client.get(f"{prefix}/items/a")).json() == value
                assert (await client.get(f"{prefix}/items")).json() == {"a": value}
