from typing import Any

import anyio
import pytest

from evox import Body, Intent, Method, Param, Service, ServiceBuilder, WebSocket
from evox.testing import running


def users() -> Service:
    svc = ServiceBuilder("users")
    db: dict[str, Any] = {}

    @svc.endpoint("/{uid}", methods=["GET", "PUT"])
    @Intent(cacheable=True)
    async def op(method: Method, uid: str = Param(), body: dict[str, Any] = Body(None)) -> Any:
        if method == "PUT":
            db[uid] = body
            return body, 201
        return db.get(uid, ({"error": "not found"}, 404))

    @svc.websocket("/ws/echo")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    return svc


@pytest.mark.parametrize("sockets", [False, True])
async def test_a_service_answers(sockets: bool) -> None:
    async with running(users(), sockets=sockets) as env:
        client = env.client("users")
        assert (await client.get("/1")).status_code == 404
        assert (await client.put("/1", json={"a": 1})).status_code == 201
        assert (await client.get("/1")).json() == {"a": 1}
        assert (await client.get("/health")).json()["status"] == "pass"
    async with running(users()) as env, env.websocket("users", "/ws/echo") as ws:
        await ws.send_text("hi")
        assert await ws.receive() == "hi"


async def test_a_failing_background_task_ends_the_test_with_its_own_error() -> None:
    svc = users()

    @svc.background_task()
    async def bad() -> None:
        raise ValueError("the real error")

    with pytest.raises(ValueError, match="the real error"):
        async with running(svc):
            await anyio.sleep(10)
