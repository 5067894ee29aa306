"""Lifespan: the ASGI lifespan protocol, and whose error it is when it fails."""

from typing import Any

import anyio
import pytest
from starlette.types import Receive, Send

from evox.serving import Lifespan


async def good(scope: Any, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["pool"] = "open"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    scope["state"]["pool"] = "closed"
    await send({"type": "lifespan.shutdown.complete"})


async def test_it_starts_fills_the_state_and_shuts_down() -> None:
    state: dict[str, Any] = {}
    lifespan = Lifespan(good, state)
    assert "not started" in repr(lifespan)
    async with anyio.create_task_group() as group:
        await group.start(lifespan.run)
        assert state == {"pool": "open"}
        assert "not started" not in repr(lifespan)
        await lifespan.shutdown()
        assert state == {"pool": "closed"}


async def test_an_app_that_raises_at_start_raises_its_own_error() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"):
        await Lifespan(app, {}).run()


async def test_an_app_that_says_it_failed_raises_with_its_words() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        await Lifespan(app, {}).run()


async def test_an_app_that_raises_after_it_said_so_raises_its_own_error() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback ..."})
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"):
        await Lifespan(app, {}).run()


async def test_an_app_that_returns_before_it_has_started_is_an_error() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        return

    with pytest.raises(RuntimeError, match="before it had started"):
        await Lifespan(app, {}).run()


async def test_an_app_that_raises_at_shutdown_raises_its_own_error() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise OSError("cannot flush")

    lifespan = Lifespan(app, {})
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="cannot flush")):
        async with anyio.create_task_group() as group:
            await group.start(lifespan.run)
            await lifespan.shutdown()


async def test_shutdown_of_an_app_that_is_gone_returns() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    lifespan = Lifespan(app, {})
    async with anyio.create_task_group() as group:
        await group.start(lifespan.run)
        with anyio.fail_after(5):
            await lifespan.shutdown()


async def test_start_up_and_shutdown_run_in_one_task() -> None:
    tasks: list[int] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        tasks.append(anyio.get_current_task().id)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tasks.append(anyio.get_current_task().id)

    lifespan = Lifespan(app, {})
    async with anyio.create_task_group() as group:
        await group.start(lifespan.run)
        await lifespan.shutdown()
    assert len(set(tasks)) == 1
    assert len(tasks) == 2


async def test_a_cancelled_lifespan_lets_the_app_clean_up() -> None:
    cleaned: list[str] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        finally:
            cleaned.append("yes")

    lifespan = Lifespan(app, {})
    async with anyio.create_task_group() as group:
        await group.start(lifespan.run)
        group.cancel_scope.cancel()
    assert cleaned == ["yes"]
    assert lifespan.finished.is_set()
