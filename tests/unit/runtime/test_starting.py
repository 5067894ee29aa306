"""Starting: services in the order of their needs, hooks in the order of their lines, and what a failed start undoes."""

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from evox import ServiceBuilder
from evox.errors import InvalidDeclaration, LateDeclaration, StartupFailed
from evox.orchestrator import Fleet
from evox.runtime import State
from evox.services import Scope
from evox.testing import running


def telling(name: str, log: list[str]) -> ServiceBuilder:
    """Return a service that tells when it starts and stops."""
    svc = ServiceBuilder(name)

    @svc.on_startup
    async def up() -> None:
        await anyio.lowlevel.checkpoint()
        log.append(f"{name} up")

    @svc.on_shutdown
    async def down() -> None:
        await anyio.lowlevel.checkpoint()
        log.append(f"{name} down")

    return svc


def failing(name: str, error: Exception | None = None) -> ServiceBuilder:
    svc = ServiceBuilder(name)

    @svc.on_startup
    async def connect() -> None:
        raise error or ValueError("the real error")

    return svc


async def started(*services: Any, **options: Any) -> None:
    async with running(*services, **options):
        pass


async def test_R3_services_start_after_those_they_depend_on_and_stop_before_them() -> None:
    log: list[str] = []
    gateway = telling("gateway", log).depends_on("users", "items")
    items = telling("items", log).depends_on("users")
    async with running(gateway, items, telling("users", log)):
        assert log == ["users up", "items up", "gateway up"]
    assert log[3:] == ["gateway down", "items down", "users down"]


async def test_R3_services_that_need_nobody_start_in_the_order_given() -> None:
    log: list[str] = []
    await started(telling("b", log), telling("a", log))
    assert log == ["b up", "a up", "a down", "b down"]


async def test_R3_a_service_answers_as_soon_as_those_that_need_it_start() -> None:
    seen: list[State] = []
    users, items = ServiceBuilder("users"), ServiceBuilder("items").depends_on("users")

    @items.on_startup
    async def look() -> None:
        seen.append(users_host.lifecycle.state)

    fleet = Fleet([items, users], Scope())
    users_host = fleet.host("users")
    async with fleet.started():
        assert seen == [State.READY]


@pytest.mark.parametrize("needs", [("nobody",), ("b",)])
async def test_R3_a_dependency_that_is_missing_or_circular_is_refused_before_anything_starts(
    needs: tuple[str, ...],
) -> None:
    log: list[str] = []
    with pytest.raises(InvalidDeclaration, match="depends_on"):
        await started(telling("a", log).depends_on(*needs), telling("b", log).depends_on("a"))
    assert log == []


@pytest.mark.parametrize("raise_errors", [True, False])
async def test_R3_a_failed_start_stops_those_that_had_started_and_starts_no_other(raise_errors: bool) -> None:
    log: list[str] = []
    services = [telling("a", log), telling("b", log), failing("bad"), telling("c", log)]
    with pytest.raises(StartupFailed):
        await started(*services, raise_errors=raise_errors)
    assert log == ["a up", "b up", "b down", "a down"]


async def test_R3_a_failed_start_says_which_hook_of_which_service_and_holds_the_real_error() -> None:
    error = ValueError("the real error")
    with pytest.raises(StartupFailed) as caught:
        await started(failing("bad", error))
    said = caught.value
    assert (said.__cause__, said.exit_code) == (error, 1)
    assert all(word in said.what for word in ("startup hook", "connect", "'bad'"))
    assert said.place is not None
    assert said.place.file == __file__


def hooks(log: list[str], fails: str = "") -> ServiceBuilder:
    """Return a service with three start-up hooks and four shutdown hooks, sync and async in turn."""
    svc = ServiceBuilder("users")

    def tell(text: str) -> None:
        log.append(text)
        if text == fails:
            raise ValueError(text)

    def make(text: str, *, is_async: bool) -> Callable[[], Any]:
        async def later() -> None:
            await anyio.lowlevel.checkpoint()
            tell(text)

        return later if is_async else lambda: tell(text)

    for number in (1, 2, 3):
        svc.on_startup(make(f"up {number}", is_async=bool(number % 2)))
    for number in (1, 2, 3, 4):
        svc.on_shutdown(make(f"down {number}", is_async=bool(number % 2)))
    return svc


async def test_R3_hooks_run_in_order_and_their_partners_in_reverse() -> None:
    log: list[str] = []
    await started(hooks(log))
    assert log == ["up 1", "up 2", "up 3", "down 4", "down 3", "down 2", "down 1"]


@pytest.mark.parametrize(
    ("fails", "ran"),
    [("up 1", []), ("up 2", ["down 1"]), ("up 3", ["down 2", "down 1"])],
)
async def test_R3_the_nth_shutdown_hook_runs_only_if_the_nth_startup_hook_succeeded(fails: str, ran: list[str]) -> None:
    log: list[str] = []
    with pytest.raises(StartupFailed):
        await started(hooks(log, fails))
    assert [text for text in log if text.startswith("down")] == ran


async def test_R3_a_shutdown_hook_that_fails_is_logged_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    await started(hooks(log, "down 3"), raise_errors=False)
    assert log[3:] == ["down 4", "down 3", "down 2", "down 1"]
    assert [record.levelname for record in caplog.records if record.name == "evox.lifecycle"] == ["ERROR"]


async def test_R3_a_shutdown_hook_that_fails_fails_the_test_after_the_others_ran() -> None:
    """It passed in silence: nobody reads the log of a green test."""
    log: list[str] = []
    with pytest.raises(ValueError, match="down 3"):
        await started(hooks(log, "down 3"))
    assert log[3:] == ["down 4", "down 3", "down 2", "down 1"]


async def test_R4_sync_hooks_run_in_threads_and_async_ones_do_not() -> None:
    svc = ServiceBuilder("users")
    seen: list[tuple[str, bool]] = []

    def look(kind: str) -> None:
        seen.append((kind, threading.current_thread() is threading.main_thread()))

    svc.on_startup(lambda: look("sync"))
    svc.on_shutdown(lambda: look("sync"))

    @svc.on_startup
    async def hook() -> None:
        look("async")

    await started(svc)
    assert seen == [("sync", False), ("async", True), ("sync", False)]


async def test_a_hook_declared_while_the_service_runs_is_refused() -> None:
    svc = ServiceBuilder("users")
    async with running(svc):
        with pytest.raises(LateDeclaration):
            svc.on_shutdown(lambda: None)
