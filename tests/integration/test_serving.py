"""Services of both syntaxes in one process, asked over real sockets; and connections that break, which end nothing."""

import socket
import struct
from collections.abc import Callable
from http.client import IncompleteRead

import httpx2
import pytest
from tests.lanes import ONE_WAY
from tests.support import EvoxProcess, HttpSocket, Run

pytestmark = pytest.mark.usefixtures("http1")

USERS = """
    from collections.abc import AsyncIterator
    from typing import Any

    from fastapi.responses import StreamingResponse
    from pydantic import BaseModel

    from evox import Body, HTTPException, Method, Param, Query, service

    svc = service("user-service").port(0).build()
    users: dict[str, dict[str, Any]] = {}


    class User(BaseModel):
        name: str
        age: int


    @svc.get("/users")
    async def list_users(older_than: int = Query(0)) -> list[dict[str, Any]]:
        return [one for one in users.values() if one["age"] > older_than]


    @svc.post("/users", status_code=201)
    async def create_user(user: User) -> dict[str, Any]:
        users[user.name] = user.model_dump()
        return users[user.name]


    @svc.endpoint("/users/{name}", methods=["GET", "PUT", "DELETE"])
    async def one_user(method: Method, name: str = Param(), change: dict[str, Any] = Body(None)):
        if name not in users:
            return {"error": "not found"}, 404
        if method == "DELETE":
            return users.pop(name)
        if method == "PUT":
            users[name] |= change
        return users[name]


    @svc.get("/broken")
    async def broken() -> None:
        raise ValueError("a bug of the user")


    async def halves() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError("a bug of the user")


    @svc.get("/half")
    async def half() -> StreamingResponse:
        return StreamingResponse(halves())
"""
ITEMS = """
    from typing import Any

    from evox import DELETE, GET, POST, PUT, Body, Controller, HTTPException, service

    svc = service("item-service").port(0)


    @Controller("/items", tags=["items"], version="v1")
    class Items:
        def __init__(self) -> None:
            self.items: dict[int, dict[str, Any]] = {}

        @GET("/")
        async def list_items(self) -> list[dict[str, Any]]:
            return list(self.items.values())

        @POST("/", status_code=201)
        async def create(self, item: dict[str, Any] = Body()) -> dict[str, Any]:
            number = len(self.items) + 1
            self.items[number] = {"id": number, **item}
            return self.items[number]

        @GET("/{number}")
        async def read(self, number: int) -> dict[str, Any]:
            if number not in self.items:
                raise HTTPException(404, "no such item")
            return self.items[number]

        @PUT("/{number}")
        def update(self, number: int, item: dict[str, Any] = Body()) -> dict[str, Any]:
            self.items[number] |= item
            return self.items[number]

        @DELETE("/{number}", status_code=204)
        async def delete(self, number: int) -> None:
            del self.items[number]


    svc.register_controller(Items)
"""


def open_shop(run: Run, backend: str) -> EvoxProcess:
    """Start a process that serves both, found in one folder."""
    files = {"users/main.py": USERS, "items/main.py": ITEMS}
    process: EvoxProcess = run(files, "--json", "--backend", backend, env={"EVOX_SERVING__DRAIN_DELAY": "0s"})
    process.event("started")
    return process


@pytest.fixture
def shop(shared_run: Run, backend: str) -> EvoxProcess:
    """Return a process that tests share: none ends it, and each makes things of its own."""
    return open_shop(shared_run, backend)


def test_functions_create_read_update_list_and_delete(shop: EvoxProcess) -> None:
    with shop.client("user-service") as client:
        assert client.post("/users", json={"name": "ada", "age": 36}).status_code == 201
        assert client.post("/users", json={"name": "bob", "age": 20}).status_code == 201
        assert client.get("/users/ada").json() == {"name": "ada", "age": 36}
        assert client.put("/users/ada", json={"age": 37}).json() == {"name": "ada", "age": 37}
        assert client.get("/users", params={"older_than": 30}).json() == [{"name": "ada", "age": 37}]
        assert client.delete("/users/ada").status_code == 200
        answer = client.get("/users/ada")
        assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


def test_classes_create_read_update_list_and_delete(shop: EvoxProcess) -> None:
    with shop.client("item-service") as client:
        assert client.post("/v1/items", json={"title": "pen"}).json() == {"id": 1, "title": "pen"}
        assert client.post("/v1/items/", json={"title": "ink"}).status_code == 201
        assert client.get("/v1/items/1").json() == {"id": 1, "title": "pen"}
        assert client.put("/v1/items/1", json={"title": "pencil"}).json() == {"id": 1, "title": "pencil"}
        assert [one["title"] for one in client.get("/v1/items").json()] == ["pencil", "ink"]
        assert client.delete("/v1/items/1").status_code == 204
        assert client.get("/v1/items/1").status_code == 404


@ONE_WAY
def test_input_that_does_not_validate_is_422(shop: EvoxProcess) -> None:
    with shop.client("user-service") as client:
        answer = client.post("/users", json={"name": "ada", "age": "old"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "age"]


def test_an_unhandled_error_is_500_and_the_service_goes_on(shop: EvoxProcess) -> None:
    with shop.client("user-service") as client:
        answer = client.get("/broken")
        assert answer.status_code == 500
        assert "a bug of the user" not in answer.text
        assert client.get("/users").status_code == 200
    shop.wait_error("a bug of the user")


def test_a_stream_that_fails_in_the_middle_does_not_look_whole_to_its_client(shop: EvoxProcess) -> None:
    with HttpSocket(shop.address("user-service")) as connection:
        connection.send("/half")
        with pytest.raises(IncompleteRead):
            connection.answer()
    assert shop.get("/users", "user-service").status_code == 200


@pytest.mark.parametrize("service", ["user-service", "item-service"])
@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/startup"])
def test_every_probe_passes(shop: EvoxProcess, service: str, path: str) -> None:
    answer = shop.get(path, service)
    assert (answer.status_code, answer.json()["status"]) == (200, "pass")


@ONE_WAY
@pytest.mark.parametrize("service", ["user-service", "item-service"])
def test_docs_and_openapi_are_served(shop: EvoxProcess, service: str) -> None:
    docs, document = shop.get("/docs", service), shop.get("/openapi.json", service)
    assert docs.status_code == 200
    assert "/openapi.json" in docs.text
    assert document.json()["info"]["title"] == service


@ONE_WAY
def test_each_method_of_one_handler_has_its_own_operation(shop: EvoxProcess) -> None:
    paths = shop.get("/openapi.json", "user-service").json()["paths"]
    assert set(paths["/users/{name}"]) == {"get", "put", "delete"}
    identifiers = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(identifiers) == len(set(identifiers))


def test_V8_no_answer_names_the_server(shop: EvoxProcess) -> None:
    assert "server" not in shop.get("/health", "user-service").headers


def test_many_requests_go_over_one_connection(shop: EvoxProcess) -> None:
    with HttpSocket(shop.address("user-service")) as connection:
        for _ in range(50):
            answer = connection.get("/users")
            assert (answer.status, answer.closes) == (200, False)


def garbage(connection: socket.socket) -> None:
    connection.sendall(bytes(range(256)) * 4)


def half_open(connection: socket.socket) -> None:
    connection.sendall(b"GET /users HTTP/1.1\r\nHost: x")
    connection.shutdown(socket.SHUT_WR)


def nothing(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def reset(connection: socket.socket) -> None:
    connection.sendall(b"GET /users HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def truncated_body(connection: socket.socket) -> None:
    head = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    connection.sendall(head + b'{"name"')
    connection.shutdown(socket.SHUT_WR)


def bad_chunk(connection: socket.socket) -> None:
    connection.sendall(b"POST /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno\r\n0\r\n\r\n")


def no_host(connection: socket.socket) -> None:
    connection.sendall(b"GET /users HTTP/1.1\r\n\r\n")


def bad_path(connection: socket.socket) -> None:
    connection.sendall(b"GET /users/%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n")


def h2c_upgrade(connection: socket.socket) -> None:
    connection.sendall(
        b"GET /users HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: !!!not base64!!!\r\n\r\n"
    )


def h2_preface_then_garbage(connection: socket.socket) -> None:
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200)


def websocket_extension(connection: socket.socket) -> None:
    connection.sendall(
        b"GET /users HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99; =;;,\r\n\r\n"
    )


def websocket_without_key(connection: socket.socket) -> None:
    connection.sendall(b"GET /users HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")


def tls_hello(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508))


BROKEN: list[Callable[[socket.socket], None]] = [
    garbage,
    half_open,
    nothing,
    reset,
    truncated_body,
    bad_chunk,
    no_host,
    bad_path,
    h2c_upgrade,
    h2_preface_then_garbage,
    websocket_extension,
    websocket_without_key,
    tls_hello,
]


def test_V2_no_broken_connection_ends_or_stalls_the_process(evox_run: Run, backend: str) -> None:
    shop = open_shop(evox_run, backend)
    address = shop.address("user-service")
    for attack in BROKEN:
        with socket.create_connection(address, 10) as connection:
            attack(connection)
            with httpx2.Client(base_url=shop.url("user-service"), timeout=1.0, trust_env=False) as client:
                assert client.get("/health").status_code == 200, attack.__name__
    assert shop.end() == 0
    assert "Traceback" not in shop.err


@pytest.mark.parametrize("attack", [garbage, no_host, bad_chunk, h2c_upgrade, websocket_extension, tls_hello])
def test_V2_a_malformed_request_gets_an_answer_or_a_close_and_is_never_left_hanging(
    shop: EvoxProcess, attack: Callable[[socket.socket], None]
) -> None:
    with socket.create_connection(shop.address("user-service"), 10) as connection:
        attack(connection)
        connection.settimeout(3)
        try:
            first = connection.recv(4096)
        except ConnectionError:
            return
    assert first == b"" or first.startswith(b"HTTP/1.1 ")
