"""An existing FastAPI app, with about everything that such apps use, answers as a service as it did before.

It is adopted by ``from_fastapi``, or gives all it has to ``service.app`` of a service of our own. Each is asked
of ``running`` without sockets and with them, and of a plain ``TestClient``, on both loops.
"""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

import httpx2
import pytest
import wsproto
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import OAuth2PasswordBearer
from fastapi.sse import EventSourceResponse
from fastapi.testclient import TestClient
from fastapi.websockets import WebSocket
from pydantic import BaseModel
from starlette.middleware.base import RequestResponseEndpoint
from starlette.types import ASGIApp, Receive, Scope, Send
from wsproto.events import AcceptConnection, Message, TextMessage
from wsproto.events import Request as Upgrade

from evox import Service, ServiceBuilder
from evox.testing import running

LIVENESS = 10.0


class Log:
    """What the app did, in order; safe to wait for from the test's thread."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._changed = threading.Condition()

    def add(self, entry: str) -> None:
        with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    def wait(self, entry: str) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: entry in self.entries, LIVENESS)


class Item(BaseModel):
    name: str
    price: float


class Stored(Item):
    secret: str = "never shown"


class PureMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-pure", b"yes")]}
            await send(message)

        await self.app(scope, receive, marked if scope["type"] == "http" else send)


STOCK = {"tea": Stored(name="tea", price=2)}
oauth2 = OAuth2PasswordBearer(tokenUrl="token")


def current_user(token: Annotated[str, Depends(oauth2)]) -> str:
    if token != "letmein":
        raise HTTPException(403, "not you")
    return "ada"


async def session(request: Request) -> AsyncIterator[dict[str, Stored]]:
    yield request.state.db
    request.app.state.log.add("session closed")


Session: TypeAlias = Annotated[dict[str, Stored], Depends(session)]
items = APIRouter(prefix="/items", tags=["items"])
api = APIRouter(prefix="/api", tags=["api"], responses={418: {"description": "a teapot"}})


@items.get("/{name}", response_model=Item)
async def read_item(name: str, db: Session) -> Stored:
    if name not in db:
        raise HTTPException(404, f"no {name}")
    return db[name]


@items.post("", status_code=201)
def create_item(item: Item, db: Session, background: BackgroundTasks, request: Request) -> Item:
    background.add_task(request.app.state.log.add, f"created {item.name}")
    return item


@items.delete("/{name}")
async def delete_item(name: str) -> None:
    raise LookupError(name)


@api.get("/me")
def me(user: Annotated[str, Depends(current_user)]) -> dict[str, str]:
    return {"user": user}


@api.get("/pair")
async def pair():  # type: ignore[no-untyped-def]  # noqa: ANN201  as in apps without annotations
    return {"error": "not found"}, 404


@api.get("/broken")
def broken() -> None:
    raise ValueError("a bug of the user")


@api.post("/upload")
async def upload(title: Annotated[str, Form()], file: UploadFile) -> dict[str, Any]:
    return {"title": title, "name": file.filename, "size": len(await file.read())}


@api.get("/stream")
def stream() -> StreamingResponse:
    return StreamingResponse((f"line {number}\n" for number in range(3)), media_type="text/plain")


@api.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[Item]:
    for price in (1, 2):
        yield Item(name="tea", price=price)


@api.websocket("/talk/{room}")
async def talk(websocket: WebSocket, room: Annotated[str, Depends(lambda room: f"room {room}")]) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{room}: {text}, {len(websocket.state.db)} items")


api.include_router(items)


async def trace(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-trace"] = request.method
    return response


def lifespan_of(name: str, log: Log, state: dict[str, Any]) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.add(f"{name} up")
        yield state
        log.add(f"{name} down")

    return lifespan


def furnish(app: FastAPI, log: Log) -> None:
    """Give an app all it has, in the ways that FastAPI's users write."""
    app.state.log = log
    admin = FastAPI(lifespan=lifespan_of("admin", log, {"admin": "root"}))
    app.mount("/admin", admin)
    app.add_middleware(PureMiddleware)
    app.middleware("http")(trace)
    app.include_router(api)

    @admin.get("/who")
    async def who(request: Request) -> dict[str, str]:
        return {"admin": request.state.admin}

    @app.exception_handler(LookupError)
    async def out_of_stock(request: Request, error: LookupError) -> Response:
        return JSONResponse({"sold": str(error)}, 409)


def existing_app(log: Log) -> FastAPI:
    app = FastAPI(title="Shop", version="3.1", lifespan=lifespan_of("shop", log, {"db": STOCK}))
    furnish(app, log)
    return app


def made(log: Log) -> Service:
    service = ServiceBuilder("shop", title="Shop", version="3.1", lifespan=lifespan_of("shop", log, {"db": STOCK}))
    furnish(service.app, log)
    return service


@dataclass
class Site:
    """A service that somebody runs: ``ask`` sends a request, ``talk`` says one thing by WebSocket."""

    ask: Callable[..., httpx2.Response]
    talk: Callable[[str, str], str | bytes]


def talk_over_socket(url: str, path: str, text: str) -> str:
    target, protocol = httpx2.URL(url), wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    assert target.port is not None
    with socket.create_connection((target.host, target.port), LIVENESS) as connection:

        def wait_for(kind: type) -> Any:
            while True:
                for event in protocol.events():
                    if isinstance(event, kind):
                        return event
                data = connection.recv(65536)
                assert data, "the server closed the connection"
                protocol.receive_data(data)

        connection.sendall(protocol.send(Upgrade(host=target.host, target=path)))
        wait_for(AcceptConnection)
        connection.sendall(protocol.send(TextMessage(text)))
        answer: str = wait_for(Message).data
        connection.sendall(protocol.send(wsproto.events.CloseConnection(1000)))
        wait_for(wsproto.events.CloseConnection)
    return answer


@contextmanager
def over_sockets(portal: BlockingPortal, service: Service) -> Iterator[Site]:
    with portal.wrap_async_context_manager(running(service, sockets=True)) as env:
        url = env.url(service)
        with httpx2.Client(base_url=url, timeout=LIVENESS, trust_env=False) as client:
            yield Site(client.request, partial(talk_over_socket, url))


@contextmanager
def in_process(portal: BlockingPortal, service: Service) -> Iterator[Site]:
    with portal.wrap_async_context_manager(running(service)) as env:
        client = env.client(service)

        def talk(path: str, text: str) -> str | bytes:
            with portal.wrap_async_context_manager(env.websocket(service, path)) as session:
                portal.call(session.send_text, text)
                answer: str | bytes = portal.call(session.receive)
            return answer

        yield Site(lambda *args, **options: portal.call(partial(client.request, *args, **options)), talk)


@contextmanager
def under_test_client(service: Service, backend: Literal["asyncio", "trio"]) -> Iterator[Site]:
    with TestClient(service.app, backend=backend, raise_server_exceptions=False) as client:

        def talk(path: str, text: str) -> str:
            with client.websocket_connect(path) as session:
                session.send_text(text)
                return session.receive_text()

        yield Site(client.request, talk)


Open: TypeAlias = Callable[[Service], AbstractContextManager[Site]]


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["without sockets", "sockets", "TestClient"])
def opened(request: pytest.FixtureRequest, backend: Literal["asyncio", "trio"]) -> Iterator[Open]:
    """Return a function that runs a service for the time of a ``with`` block, in one of the three ways."""
    if request.param == "TestClient":
        yield partial(under_test_client, backend=backend)
        return
    with start_blocking_portal(backend) as portal:
        yield partial(in_process if request.param == "without sockets" else over_sockets, portal)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(params=["from_fastapi", "service.app"])
def service(request: pytest.FixtureRequest, log: Log) -> Service:
    """Return the service: the existing app itself, or a service of our own whose app was given all the same."""
    return made(log) if request.param == "service.app" else Service.from_fastapi(existing_app(log), name="shop")


@pytest.fixture
def shop(opened: Open, service: Service) -> Iterator[Site]:
    with opened(service) as site:
        yield site


def test_nested_routers_answer_and_response_model_filters(shop: Site) -> None:
    assert shop.ask("GET", "/api/items/tea").json() == {"name": "tea", "price": 2}


def test_an_http_exception_keeps_its_status_and_body(shop: Site) -> None:
    answer = shop.ask("GET", "/api/items/gold")
    assert (answer.status_code, answer.json()) == (404, {"detail": "no gold"})


def test_a_dependency_with_yield_is_closed_after_the_answer(shop: Site, log: Log) -> None:
    shop.ask("GET", "/api/items/tea")
    assert log.wait("session closed")


def test_a_sync_handler_answers_201_and_its_background_task_runs(shop: Site, log: Log) -> None:
    answer = shop.ask("POST", "/api/items", json={"name": "milk", "price": 1})
    assert (answer.status_code, answer.json()) == (201, {"name": "milk", "price": 1})
    assert log.wait("created milk")


def test_validation_errors_are_fastapis_own(shop: Site) -> None:
    answer = shop.ask("POST", "/api/items", json={"name": "milk"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "price"]


def test_an_exception_handler_of_the_app_answers(shop: Site) -> None:
    answer = shop.ask("DELETE", "/api/items/tea")
    assert (answer.status_code, answer.json()) == (409, {"sold": "tea"})


@pytest.mark.parametrize(("header", "status"), [(None, 401), ("Bearer wrong", 403), ("Bearer letmein", 200)])
def test_security_of_the_app_guards(shop: Site, header: str | None, status: int) -> None:
    answer = shop.ask("GET", "/api/me", headers={"authorization": header} if header else {})
    assert answer.status_code == status


def test_both_kinds_of_middleware_see_each_answer(shop: Site) -> None:
    headers = shop.ask("GET", "/api/nowhere").headers
    assert (headers["x-trace"], headers["x-pure"]) == ("GET", "yes")


def test_a_tuple_stays_the_array_that_it_was(shop: Site) -> None:
    answer = shop.ask("GET", "/api/pair")
    assert (answer.status_code, answer.json()) == (200, [{"error": "not found"}, 404])


def test_an_unhandled_error_is_starlettes_500(shop: Site) -> None:
    answer = shop.ask("GET", "/api/broken")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_forms_and_files_arrive(shop: Site) -> None:
    answer = shop.ask("POST", "/api/upload", data={"title": "t"}, files={"file": ("a.txt", bytes(100_000))})
    assert answer.json() == {"title": "t", "name": "a.txt", "size": 100_000}


def test_a_streaming_response_arrives_whole(shop: Site) -> None:
    assert shop.ask("GET", "/api/stream").text == "line 0\nline 1\nline 2\n"


def test_server_sent_events_arrive(shop: Site) -> None:
    answer = shop.ask("GET", "/api/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line for line in answer.text.splitlines() if line.startswith("data:")] == [
        'data: {"name":"tea","price":1.0}',
        'data: {"name":"tea","price":2.0}',
    ]


def test_a_websocket_talks_with_dependency_and_lifespan_state(shop: Site) -> None:
    assert shop.talk("/api/talk/7", "hello") == "room 7: hello, 1 items"


def test_a_mounted_app_has_the_state_of_its_own_lifespan(shop: Site) -> None:
    assert shop.ask("GET", "/admin/who").json() == {"admin": "root"}


def test_each_lifespan_is_entered_once_and_left_in_reverse(opened: Open, service: Service, log: Log) -> None:
    with opened(service):
        pass
    assert log.entries == ["shop up", "admin up", "admin down", "shop down"]


def test_dependency_overrides_of_the_app_hold(opened: Open, service: Service) -> None:
    service.app.dependency_overrides[current_user] = lambda: "fake"
    with opened(service) as site:
        assert site.ask("GET", "/api/me").json() == {"user": "fake"}


def test_openapi_is_that_of_the_plain_app(shop: Site) -> None:
    assert shop.ask("GET", "/openapi.json").json() == existing_app(Log()).openapi()


def test_from_fastapi_keeps_the_app_and_its_routes(opened: Open, log: Log) -> None:
    app = existing_app(log)
    routes, document = list(app.routes), app.openapi()
    service = Service.from_fastapi(app, name="shop")
    with opened(service):
        assert (service.app, app.routes, app.openapi()) == (app, routes, document)
