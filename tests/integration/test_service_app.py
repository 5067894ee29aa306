"""What runs round an app: lifespans, hooks, facades, health.

The app is ``service.app`` of a service of our own or of one made by ``from_fastapi``. It runs under ``running``, a
``TestClient`` and under a server that knows nothing of services.
"""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeAlias

import anyio
import httpx2
import hypercorn
import hypercorn.asyncio
import hypercorn.trio
import pytest
from anyio.abc import TaskStatus
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Route

from evox import Service, ServiceBuilder, inject
from evox.testing import running

Backend: TypeAlias = Literal["asyncio", "trio"]
Lived: TypeAlias = Callable[[Service], None]


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["running", "TestClient"])
def lived(request: pytest.FixtureRequest, backend: Backend) -> Lived:
    """Return a function that starts a service and stops it again."""

    def under_test_client(service: Service) -> None:
        with TestClient(service.app, backend=backend):
            pass

    async def hosted(service: Service) -> None:
        async with running(service):
            pass

    def under_host(service: Service) -> None:
        anyio.run(hosted, service, backend=backend)

    return under_test_client if request.param == "TestClient" else under_host


def named_lifespan(name: str, log: list[str], state: dict[str, Any] | None = None) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any] | None]:
        log.append(f"{name} up")
        yield state
        log.append(f"{name} down")

    return lifespan


def by_hand(sub: FastAPI) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with sub.router.lifespan_context(sub):
            yield

    return FastAPI(lifespan=lifespan)


def handed_over(sub: FastAPI) -> FastAPI:
    return FastAPI(lifespan=sub.router.lifespan_context)


def handed_over_with_a_router(sub: FastAPI) -> FastAPI:
    app = FastAPI(lifespan=sub.router.lifespan_context)
    app.include_router(APIRouter())
    return app


def combined(sub: FastAPI) -> FastAPI:
    lifespans = (named_lifespan("app", []), sub.router.lifespan_context)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for one in lifespans:
                await stack.enter_async_context(one(app))
            yield

    return FastAPI(lifespan=lifespan)


@pytest.mark.parametrize("parent", [FastAPI, by_hand, handed_over, handed_over_with_a_router, combined])
def test_a_mounted_lifespan_is_entered_exactly_once_whoever_enters_it(
    lived: Lived, parent: Callable[..., FastAPI]
) -> None:
    log: list[str] = []
    sub = FastAPI(lifespan=named_lifespan("sub", log))
    app = parent() if parent is FastAPI else parent(sub)
    app.mount("/sub", sub)
    lived(Service.from_fastapi(app, name="parent"))
    assert log == ["sub up", "sub down"]


def test_a_mounted_lifespan_is_entered_once_for_each_life_at_any_depth_and_place(lived: Lived) -> None:
    log: list[str] = []
    inner = FastAPI(lifespan=named_lifespan("inner", log))
    outer = Starlette(lifespan=named_lifespan("outer", log))
    outer.mount("/inner", inner)
    service = ServiceBuilder("parent")
    service.app.mount("/one", outer)
    service.app.mount("/two", outer)
    lived(service)
    lived(service)
    assert log == ["outer up", "inner up", "inner down", "outer down"] * 2


@pytest.fixture(params=["from_fastapi", "service.app"])
def service(request: pytest.FixtureRequest) -> Service:
    """Return an empty service of either kind."""
    made = request.param == "service.app"
    return ServiceBuilder("svc") if made else Service.from_fastapi(FastAPI(), name="svc")


async def test_a_router_included_later_brings_the_state_of_its_lifespan(service: Service) -> None:
    log: list[str] = []
    router = APIRouter(lifespan=named_lifespan("router", log, {"pool": "ready"}))

    @router.get("/pool")
    async def pool(request: Request) -> dict[str, Any]:
        return {"pool": getattr(request.state, "pool", None)}

    service.app.include_router(router)
    async with running(service) as env:
        assert (await env.client(service).get("/pool")).json() == {"pool": "ready"}
    assert log == ["router up", "router down"]


async def async_generator(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"pool": "ready"}


def generator(app: FastAPI) -> Iterator[dict[str, str]]:
    yield {"pool": "ready"}


@pytest.mark.parametrize("lifespan", [async_generator, generator])
def test_a_lifespan_option_may_be_whatever_fastapi_takes(backend: Backend, lifespan: Any) -> None:
    with TestClient(ServiceBuilder("svc", lifespan=lifespan).app, backend=backend) as client:
        assert client.app_state == {"pool": "ready"}


@pytest.mark.parametrize("stage", ["start-up", "shutdown"])
def test_an_error_of_an_existing_lifespan_reaches_a_test_client_as_itself(backend: Backend, stage: str) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if stage == "start-up":
            raise ConnectionRefusedError("no database")
        yield
        raise ConnectionRefusedError("no database")

    service = Service.from_fastapi(FastAPI(lifespan=lifespan), name="svc")
    with pytest.raises(ConnectionRefusedError, match="no database"), TestClient(service.app, backend=backend):
        pass


def test_hooks_and_tasks_of_an_adopted_app_run_within_its_lifespan(lived: Lived) -> None:
    log: list[str] = []
    service = Service.from_fastapi(FastAPI(lifespan=named_lifespan("app", log)), name="svc")
    ran = service.lifespan(named_lifespan("svc", log))
    assert ran is not None

    @service.on_startup
    async def up() -> None:
        log.append("hook up")

    @service.on_shutdown
    def down() -> None:
        log.append("hook down")

    lived(service)
    assert log == ["app up", "svc up", "hook up", "hook down", "svc down", "app down"]


def ticking(ticked: threading.Event) -> Service:
    service = Service.from_fastapi(FastAPI(), name="svc")

    @service.background_task(interval="1h")
    async def tick() -> None:
        ticked.set()

    @service.app.get("/ticked")
    def wait() -> bool:
        return ticked.wait(10)

    return service


def test_a_background_task_of_an_adopted_app_runs_under_a_test_client(backend: Backend) -> None:
    with TestClient(ticking(threading.Event()).app, backend=backend) as client:
        assert client.get("/ticked").json() is True


async def test_a_background_task_of_an_adopted_app_runs_beside_requests() -> None:
    service = ticking(threading.Event())
    async with running(service) as env:
        assert (await env.client(service).get("/ticked")).json() is True


def own_route(app: FastAPI) -> None:
    app.get("/health")(lambda: "mine")


def own_router(app: FastAPI) -> None:
    router = APIRouter(prefix="/health")
    router.get("")(lambda: "mine")
    app.include_router(router)


def own_mount(app: FastAPI) -> None:
    app.mount("/", Starlette(routes=[Route("/health", lambda request: PlainTextResponse('"mine"'))]))


@pytest.mark.parametrize("declare", [own_route, own_router, own_mount])
async def test_the_health_route_of_an_adopted_app_wins(declare: Callable[[FastAPI], None]) -> None:
    app = FastAPI()
    declare(app)
    service = Service.from_fastapi(app, name="svc")
    async with running(service) as env:
        assert (await env.client(service).get("/health")).text == '"mine"'


def test_an_adopted_app_gets_no_health_route_under_a_test_client(backend: Backend) -> None:
    with TestClient(Service.from_fastapi(FastAPI(), name="svc").app, backend=backend) as client:
        assert client.get("/health").status_code == 404


class Counter:
    """Made by injection, once for each running service."""

    def __init__(self) -> None:
        self.count = 0
        self.done = anyio.Event()

    async def add(self) -> None:
        self.count += 1
        self.done.set()


@pytest.fixture
def counter(service: Service) -> Service:
    """Return a service whose app has plain FastAPI routes that use the facades, in both kinds of handler."""

    @service.app.get("/async")
    async def start() -> None:
        service.start_soon(inject(Counter).add)

    @service.app.get("/sync")
    def start_from_thread() -> None:
        service.start_soon(inject(Counter).add)

    @service.app.get("/count")
    async def count() -> int:
        with anyio.fail_after(5):
            await inject(Counter).done.wait()
        return inject(Counter).count

    return service


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_facades_work_under_a_test_client(backend: Backend, counter: Service, path: str) -> None:
    with TestClient(counter.app, backend=backend) as client:
        assert client.get(path).status_code == 200
        assert client.get("/count").json() == 1


@pytest.mark.parametrize("path", ["/async", "/sync"])
async def test_facades_work_in_plain_fastapi_handlers(counter: Service, path: str) -> None:
    async with running(counter) as env:
        client = env.client(counter)
        assert (await client.get(path)).status_code == 200
        assert (await client.get("/count")).json() == 1


def test_each_test_client_starts_a_life_of_its_own(counter: Service) -> None:
    backends: tuple[Backend, ...] = ("trio", "asyncio", "trio")
    for backend in backends:
        with TestClient(counter.app, backend=backend) as client:
            client.get("/async")
            assert client.get("/count").json() == 1


def test_two_test_clients_at_once_do_not_see_each_other(backend: Backend, counter: Service) -> None:
    with TestClient(counter.app, backend=backend) as first:
        first.get("/async")
        with TestClient(counter.app, backend=backend) as second:
            second.get("/async")
            assert second.get("/count").json() == 1
        assert first.get("/count").json() == 1


def test_what_is_added_to_the_app_holds_for_declared_endpoints_too(backend: Backend) -> None:
    service = ServiceBuilder("svc")
    router = APIRouter()

    @service.get("/declared/{key}")
    async def declared(key: str) -> Any:
        if key == "none":
            raise LookupError(key)
        return {"key": key}, 202

    @router.get("/plain")
    async def plain() -> Any:
        return {"key": "plain"}, 202

    @service.app.exception_handler(LookupError)
    async def gone(request: Request, error: LookupError) -> Response:
        return PlainTextResponse(str(error), 410)

    @service.app.middleware("http")
    async def mark(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-mark"] = "yes"
        return response

    service.app.include_router(router)
    with TestClient(service.app, backend=backend) as client:
        answers = [client.get(path) for path in ("/declared/one", "/declared/none", "/plain")]
    assert [answer.headers["x-mark"] for answer in answers] == ["yes"] * 3
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (202, '{"key":"one"}'),
        (410, "none"),
        (200, '[{"key":"plain"},202]'),
    ]


async def test_another_server_can_run_the_app(counter: Service, anyio_backend_name: str) -> None:
    log: list[str] = []
    sub = FastAPI(lifespan=named_lifespan("sub", log))
    counter.app.mount("/sub", sub)
    counter.on_startup(partial(log.append, "hook up"))
    listener = socket.create_server(("127.0.0.1", 0))
    port, end = listener.getsockname()[1], anyio.Event()
    config = hypercorn.Config()
    config.bind, config.errorlog, config.graceful_timeout = [f"fd://{listener.detach()}"], None, 1.0
    serve: Any = hypercorn.asyncio.serve if anyio_backend_name == "asyncio" else hypercorn.trio.serve

    async def server(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await serve(counter.app, config, shutdown_trigger=end.wait)
        log.append("served")

    async with anyio.create_task_group() as group:
        await group.start(server)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert (await client.get("/async")).status_code == 200
            assert (await client.get("/count")).json() == 1
        assert log == ["sub up", "hook up"]
        end.set()
    assert log == ["sub up", "hook up", "sub down", "served"]
