"""An existing FastAPI app, with about everything that such apps use, answers as a service as it did before.

Each question is asked of ``running`` without sockets and with them, of Hypercorn's own server and of a ``TestClient``, on
both loops.
"""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeAlias

import anyio
import httpx2
import hypercorn
import hypercorn.asyncio
import hypercorn.trio
import pytest
import wsproto
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    Form,
    HTTPException,
    Request,
    Response,
    UploadFile,
    WebSocket,
)
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import OAuth2PasswordBearer
from fastapi.sse import EventSourceResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send
from wsproto.events import AcceptConnection, Message, TextMessage
from wsproto.events import Request as Upgrade

from evox import Service
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


class OutOfStock(Exception):
    pass


class PureMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-pure", b"yes")]}
            await send(message)

        await self.app(scope, receive, marked if scope["type"] == "http" else send)


oauth2 = OAuth2PasswordBearer(tokenUrl="token")
Token: TypeAlias = Annotated[str, Depends(oauth2)]


def current_user(token: Token) -> str:
    if token != "letmein":
        raise HTTPException(403, "not you")
    return "ada"


async def name_of_room(room: str) -> str:
    return f"room {room}"


def mounted_app(log: Log) -> FastAPI:
    """Return an app to be mounted, which has a lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        log.add("admin up")
        yield {"admin": "root"}
        log.add("admin down")

    admin = FastAPI(lifespan=lifespan)

    @admin.get("/who")
    async def who(request: Request) -> dict[str, str]:
        return {"admin": request.state.admin}

    return admin


def shop_app(log: Log) -> FastAPI:
    """Return the existing app. Nothing in it knows of a service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.add("shop up")
        yield {"db": {"tea": Stored(name="tea", price=2)}}
        log.add("shop down")

    async def session(request: Request) -> AsyncIterator[dict[str, Stored]]:
        log.add("session opened")
        yield request.state.db
        log.add("session closed")

    app = FastAPI(title="Shop", version="3.1", lifespan=lifespan, root_path_in_servers=False)
    app.add_middleware(PureMiddleware)
    app.mount("/admin", mounted_app(log))
    items = APIRouter(prefix="/items", tags=["items"])
    api = APIRouter(prefix="/api", tags=["api"], responses={418: {"description": "a teapot"}})
    Session: TypeAlias = Annotated[dict[str, Stored], Depends(session)]

    @app.middleware("http")
    async def trace(request: Request, call_next: Callable[[Request], Any]) -> Any:
        response = await call_next(request)
        response.headers["x-trace"] = request.method
        return response

    @app.exception_handler(OutOfStock)
    async def out_of_stock(request: Request, error: OutOfStock) -> Response:
        return JSONResponse({"sold": str(error)}, 409)

    @items.get("/{name}", response_model=Item)
    async def read_item(name: str, db: Session) -> Stored:
        if name not in db:
            raise HTTPException(404, f"no {name}")
        return db[name]

    @items.post("", status_code=201)
    def create_item(item: Item, db: Session, background: BackgroundTasks) -> Item:
        background.add_task(log.add, f"created {item.name}")
        return item

    @items.delete("/{name}")
    async def delete_item(name: str) -> None:
        raise OutOfStock(name)

    @api.get("/me")
    def me(user: Annotated[str, Depends(current_user)]) -> dict[str, str]:
        return {"user": user}

    @api.get("/pair")
    async def pair():  # type: ignore[no-untyped-def]  # noqa: ANN202  as in apps without annotations
        return {"error": "not found"}, 404

    @api.get("/broken")
    def broken() -> None:
        raise ValueError("a bug of the user")

    @api.post("/upload")
    async def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, Any]:
        return {"title": title, "name": file.filename, "size": len(await file.read())}

    @api.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse((f"line {number}\n" for number in range(3)), media_type="text/plain")

    @api.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterator[Item]:
        for price in (1, 2):
            yield Item(name="tea", price=price)

    @api.websocket("/talk/{room}")
    async def talk(websocket: WebSocket, room: Annotated[str, Depends(name_of_room)]) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{room}: {text}, {len(websocket.state.db)} items")

    api.include_router(items)
    app.include_router(api)
    return app


@dataclass
class Site:
    """A service that somebody runs: ``ask`` sends a request, ``talk`` has a WebSocket conversation."""

    ask: Callable[..., httpx2.Response]
    talk: Callable[[str, Sequence[str]], list[str]]


def talk_over_socket(url: str, path: str, texts: Sequence[str]) -> list[str]:
    target = httpx2.URL(url)
    assert target.port is not None
    protocol, answers = wsproto.WSConnection(wsproto.ConnectionType.CLIENT), []
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
        for text in texts:
            connection.sendall(protocol.send(TextMessage(text)))
            answers.append(wait_for(Message).data)
        connection.sendall(protocol.send(wsproto.events.CloseConnection(1000)))
        wait_for(wsproto.events.CloseConnection)
    return answers


@contextmanager
def over_sockets(url: str) -> Iterator[Site]:
    with httpx2.Client(base_url=url, timeout=LIVENESS, trust_env=False) as client:
        yield Site(client.request, partial(talk_over_socket, url))


@contextmanager
def in_process(portal: BlockingPortal, service: Service) -> Iterator[Site]:
    with portal.wrap_async_context_manager(running(service)) as env:
        client = env.client(service)

        def talk(path: str, texts: Sequence[str]) -> list[str]:
            answers = []
            with portal.wrap_async_context_manager(env.websocket(service, path)) as session:
                for text in texts:
                    portal.call(session.send_text, text)
                    answers.append(portal.call(session.receive))
            return answers

        yield Site(lambda *args, **options: portal.call(partial(client.request, *args, **options)), talk)


@contextmanager
def under_hypercorn(portal: BlockingPortal, service: Service, backend: str) -> Iterator[Site]:
    """Run ``service.app`` under a server that knows nothing of services."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = hypercorn.Config()
    config.bind, config.errorlog, config.graceful_timeout = [f"fd://{listener.detach()}"], None, 1.0
    serve: Any = hypercorn.asyncio.serve if backend == "asyncio" else hypercorn.trio.serve
    end = portal.call(anyio.Event)
    server = portal.start_task_soon(partial(serve, service.app, config, shutdown_trigger=end.wait))
    try:
        with over_sockets(f"http://127.0.0.1:{port}") as site:
            yield site
    finally:
        portal.call(end.set)
        server.result(LIVENESS)


@contextmanager
def under_test_client(service: Service, backend: str) -> Iterator[Site]:
    options = {"use_uvloop": False} if backend == "asyncio" else {}
    with TestClient(service.app, backend=backend, backend_options=options, raise_server_exceptions=False) as client:  # type: ignore[arg-type]

        def talk(path: str, texts: Sequence[str]) -> list[str]:
            answers = []
            with client.websocket_connect(path) as session:
                for text in texts:
                    session.send_text(text)
                    answers.append(session.receive_text())
            return answers

        yield Site(client.request, talk)
