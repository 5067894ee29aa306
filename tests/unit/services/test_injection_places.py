"""Where injection works: in every function that a running service calls, and nowhere outside one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest
from fastapi import BackgroundTasks

from evox import Controller, Depends, Request, Response, Service, ServiceBuilder, WebSocket, inject
from evox.errors import OutsideRuntime
from evox.services.controllers import GET
from evox.testing import Env, running


class Repo:
    name = "repo"


class Seen:
    """What injection gave in each place, and whether the job that outlives its request has run."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.job_ran = anyio.Event()

    def see(self, place: str) -> None:
        self.repos[place] = inject(Repo)

    async def job(self) -> None:
        self.see("job")
        self.job_ran.set()


def add_life(svc: Service, seen: Seen) -> None:
    svc.on_startup(lambda: seen.see("sync start-up hook"))
    svc.on_shutdown(lambda: seen.see("sync shutdown hook"))

    @svc.on_startup
    async def start() -> None:
        seen.see("async start-up hook")

    @svc.lifespan
    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        seen.see("lifespan before")
        yield
        seen.see("lifespan after")

    @svc.background_task()
    async def background() -> None:
        seen.see("background task")

    @svc.background_task()
    def threaded() -> None:
        seen.see("sync background task")

    svc.health_check("check")(lambda: seen.see("health check"))


def add_routes(svc: Service, seen: Seen) -> None:
    async def depended() -> None:
        seen.see("dependency")

    @svc.middleware()
    async def middleware(request: Request, call_next: Callable[..., Any]) -> Response:
        seen.see("middleware")
        response: Response = await call_next(request)
        return response

    @svc.get("/sync")
    def handle(tasks: BackgroundTasks, nothing: Annotated[Any, Depends(depended)]) -> None:
        seen.see("sync handler")
        tasks.add_task(seen.see, "task after the answer")

    @svc.get("/async")
    async def handle_async() -> None:
        seen.see("async handler")
        svc.start_soon(seen.job)

    @svc.get("/stream")
    async def stream() -> AsyncIterator[str]:
        seen.see("stream")
        yield "part"

    @svc.exception_handler(ZeroDivisionError)
    async def explain(request: Request, error: ZeroDivisionError) -> Response:
        seen.see("exception handler")
        return Response(status_code=418)

    @svc.get("/error")
    async def fail() -> float:
        return 1 / 0

    @svc.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        seen.see("websocket")
        await socket.send_text("done")


def add_controller(svc: Service, seen: Seen) -> None:
    @svc.register_controller
    @Controller("/items")
    class Items:
        def __init__(self) -> None:
            seen.see("controller's constructor")

        @GET("/")
        def read(self) -> None:
            seen.see("controller's method")


async def exercise(env: Env, svc: Service, seen: Seen) -> None:
    client = env.client(svc)
    for path in ("/health/ready", "/sync", "/async", "/stream", "/error", "/items"):
        await client.get(path)
    async with env.websocket(svc, "/ws") as socket:
        await socket.receive()
    with anyio.fail_after(10):
        await seen.job_ran.wait()
        for runner in env.service(svc).runners:
            await runner.ended.wait()


@pytest.mark.parametrize(
    "place",
    [
        "async start-up hook",
        "sync start-up hook",
        "async handler",
        "sync handler",
        "background task",
        "sync background task",
        "controller's constructor",
        "controller's method",
        "dependency",
        "exception handler",
        "health check",
        "job",
        "lifespan before",
        "lifespan after",
        "middleware",
        "stream",
        "sync shutdown hook",
        "task after the answer",
        "websocket",
    ],
)
async def test_the_one_instance_is_given_in_every_place(place: str) -> None:
    svc, seen = ServiceBuilder("a"), Seen()
    add_life(svc, seen)
    add_routes(svc, seen)
    add_controller(svc, seen)
    async with running(svc) as env:
        expected = env.service(svc).resolve(Repo)
        await exercise(env, svc, seen)
    assert seen.repos.get(place) is expected


async def test_many_threads_at_once_are_given_one_instance() -> None:
    svc, found = ServiceBuilder("a"), set[int]()
    svc.get("/x")(lambda: id(inject(Repo)))
    async with running(svc) as env, anyio.create_task_group() as group:

        async def ask() -> None:
            found.add((await env.client(svc).get("/x")).json())

        for _ in range(16):
            group.start_soon(ask)
    assert len(found) == 1


async def test_two_services_in_one_test_are_each_given_their_own() -> None:
    first, second = ServiceBuilder("first"), ServiceBuilder("second")
    for svc in (first, second):
        svc.get("/x")(lambda: id(inject(Repo)))
    async with running(first, second) as env:
        answers = [(await env.client(svc).get("/x")).json() for svc in (first, second, first)]
        assert answers == [id(env.service(svc).resolve(Repo)) for svc in (first, second, first)]
        assert len(set(answers)) == 2


def test_outside_a_service_inject_gives_a_marker_that_shows_what_it_stands_for() -> None:
    assert repr(inject(Repo)) == "<inject(Repo)>"
    assert repr(inject.config("user")) == "<inject.config('user')>"


@pytest.mark.parametrize(
    ("use", "asked"),
    [
        (lambda: inject(Repo).name, r"inject\(Repo\)"),
        (lambda: inject.config("user").key, r"inject\.config\('user'\)"),
        (inject(Repo), r"inject\(Repo\)"),
        (lambda: inject.override(Repo, Repo()), "override"),
        (lambda: ServiceBuilder("a").start_soon(print), "start_soon"),
        (lambda: ServiceBuilder("a").is_draining, "is_draining"),
    ],
)
def test_outside_a_service_the_error_says_what_was_asked_for_and_what_to_do(
    use: Callable[[], object], asked: str
) -> None:
    with pytest.raises(OutsideRuntime, match=asked) as caught:
        use()
    assert "evox.testing.running" in caught.value.fix


async def test_after_a_run_the_test_is_outside_again() -> None:
    async with running(ServiceBuilder("a")):
        assert inject(Repo) is inject(Repo)
    with pytest.raises(OutsideRuntime):
        inject(Repo).name  # noqa: B018


async def test_a_service_that_does_not_run_here_cannot_be_used() -> None:
    other = ServiceBuilder("other")
    async with running(ServiceBuilder("a")):
        with pytest.raises(OutsideRuntime, match="other"):
            other.start_soon(print)
