"""What a request sets in context variables is gone with it, though the next is answered in the same task."""

from contextvars import ContextVar, copy_context

import anyio
import anyio.lowlevel
import pytest
from tests.lanes import running

from evox import ServiceBuilder
from evox.serving.http1.contexts import in_context

pytestmark = pytest.mark.usefixtures("http1")
user: ContextVar[str] = ContextVar("user", default="nobody")


@pytest.mark.parametrize("waits", [False, True])
async def test_a_request_does_not_see_what_the_one_before_it_on_its_connection_has_set(waits: bool) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/login/{name}")
    async def login(name: str) -> str:
        before = user.get()
        user.set(name)
        if waits:
            await anyio.lowlevel.checkpoint()
        return f"{before} {user.get()}"

    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        assert [(await client.get(f"/login/{one}")).json() for one in ("ada", "bob")] == ["nobody ada", "nobody bob"]


async def test_what_runs_in_a_context_may_wait_be_cancelled_and_return() -> None:
    async def work() -> str:
        user.set("ada")
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(child)
        return user.get()

    async def child() -> None:
        assert user.get() == "ada"

    assert (await in_context(copy_context(), work()), user.get()) == ("ada", "nobody")


async def test_its_errors_are_raised() -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("x")

    with pytest.raises(KeyError):
        await in_context(copy_context(), fail())
