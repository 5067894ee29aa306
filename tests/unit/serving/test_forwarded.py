"""Forwarded: who the client is behind proxies, believed from listed peers only (CONTRACTS V8)."""

from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from tests.lanes import running

from evox import Request, Service, WebSocket, service
from evox.serving.forwarded import Forwarded

PROXY, OTHER, CLIENT = "10.0.0.1", "192.0.2.99", "198.51.100.7"
LISTED = ("10.0.0.0/8", "2001:db8::/32")


async def seen(
    *forwarded: str,
    peer: str | None = PROXY,
    proto: str | None = None,
    kind: str = "http",
    scheme: str = "http",
    listed: tuple[str, ...] = LISTED,
) -> tuple[Any, str]:
    """Send a request through, and return the client and scheme that the app saw."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        raise AssertionError

    headers = [(b"x-forwarded-for", one.encode("latin-1")) for one in forwarded]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    client = None if peer is None else (peer, 50_000)
    scope = {"type": kind, "scheme": scheme, "client": client, "headers": headers}
    await Forwarded(app, listed)(scope, receive, send)
    (found,) = scopes
    return found["client"], found["scheme"]


async def test_V8_the_address_that_a_listed_proxy_names_is_the_client() -> None:
    assert (await seen(CLIENT))[0] == (CLIENT, 0)


async def test_V8_a_peer_that_is_not_listed_is_not_believed() -> None:
    assert await seen(CLIENT, peer=OTHER, proto="https") == ((OTHER, 50_000), "http")


async def test_V8_a_request_without_a_peer_is_left_as_it_is() -> None:
    assert await seen(CLIENT, peer=None, proto="https") == (None, "http")


async def test_V8_without_the_header_the_proxy_is_the_client() -> None:
    assert (await seen())[0] == (PROXY, 50_000)


async def test_V8_hops_are_read_from_the_right_and_the_first_that_is_not_listed_is_the_client() -> None:
    assert (await seen(f"1.1.1.1, {CLIENT}, 10.0.0.3,10.0.0.2"))[0] == (CLIENT, 0)


async def test_V8_what_a_client_writes_itself_is_not_believed() -> None:
    assert (await seen(f"127.0.0.1, 10.9.9.9, {CLIENT}"))[0] == (CLIENT, 0)


async def test_V8_several_headers_are_one_list() -> None:
    assert (await seen("1.1.1.1", CLIENT, "10.0.0.2"))[0] == (CLIENT, 0)


async def test_V8_where_every_hop_is_listed_the_leftmost_is_the_client() -> None:
    assert (await seen("10.0.0.4, 10.0.0.3"))[0] == ("10.0.0.4", 0)


@pytest.mark.parametrize(
    "bad", ["unknown", "", "_hidden", "999.1.1.1", "1.2.3", "::zz", "localhost", "fe80::1%\x1b[2J", "<script>"]
)
async def test_V8_a_hop_that_is_no_address_ends_the_walk_at_the_last_good_one(bad: str) -> None:
    assert (await seen(f"1.1.1.1, {bad}, 10.0.0.2"))[0] == ("10.0.0.2", 0)
    assert (await seen(bad))[0] == (PROXY, 50_000)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        (f"{CLIENT}:4711", CLIENT),
        ("2001:470::7", "2001:470::7"),
        ("[2001:470::7]", "2001:470::7"),
        ("[2001:470::7]:4711", "2001:470::7"),
        ("2001:470:0:0:0:0:0:7", "2001:470::7"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"[::ffff:{CLIENT}]:4711", CLIENT),
        (f"  {CLIENT}\t", CLIENT),
    ],
)
async def test_V8_an_address_may_have_brackets_and_a_port(written: str, address: str) -> None:
    assert (await seen(written))[0] == (address, 0)


@pytest.mark.parametrize("peer", ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8::5"])
async def test_V8_a_peer_is_found_in_a_network_however_it_is_written(peer: str) -> None:
    assert (await seen(CLIENT, peer=peer))[0] == (CLIENT, 0)


async def test_V8_a_mapped_hop_is_found_in_a_network() -> None:
    assert (await seen(f"{CLIENT}, ::ffff:10.0.0.2"))[0] == (CLIENT, 0)


@pytest.mark.parametrize(
    ("kind", "scheme", "proto", "expected"),
    [
        ("http", "http", "https", "https"),
        ("http", "https", "http", "http"),
        ("http", "http", "HTTPS", "https"),
        ("http", "http", "http, https", "https"),
        ("http", "http", "https, http", "http"),
        ("http", "http", "gopher", "http"),
        ("http", "http", "", "http"),
        ("http", "http", "wss", "https"),
        ("websocket", "ws", "https", "wss"),
        ("websocket", "ws", "wss", "wss"),
        ("websocket", "wss", "http", "ws"),
        ("websocket", "ws", "http", "ws"),
    ],
)
async def test_V8_the_scheme_that_a_listed_proxy_names_is_the_scheme(
    kind: str, scheme: str, proto: str, expected: str
) -> None:
    assert (await seen(kind=kind, scheme=scheme, proto=proto))[1] == expected


async def test_V8_a_single_address_may_be_listed() -> None:
    assert (await seen(CLIENT, listed=(PROXY,)))[0] == (CLIENT, 0)
    assert (await seen(CLIENT, listed=(PROXY,), peer="10.0.0.2"))[0] == ("10.0.0.2", 50_000)


def test_it_says_whom_it_believes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    assert "10.0.0.0/8" in repr(Forwarded(app, LISTED))


def build() -> Service:
    svc = service("who").port(0)

    @svc.get("/")
    async def who(request: Request) -> list[str]:
        return [request.client.host if request.client else "", request.url.scheme]

    @svc.websocket("/")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return svc.build()


HEADERS = {"x-forwarded-for": CLIENT, "x-forwarded-proto": "https"}


async def asked(**serving: Any) -> Any:
    async with running(build(), sockets=True, settings={"serving": serving}) as env:
        answer: httpx2.Response = await env.client("who").get("/", headers=HEADERS)
        return answer.json()


@pytest.mark.usefixtures("http1")
async def test_V8_by_default_nobody_is_believed() -> None:
    assert await asked() == ["127.0.0.1", "http"]


@pytest.mark.usefixtures("http1")
async def test_V8_over_a_socket_a_listed_peer_is_believed() -> None:
    assert await asked(forwarded_from=["127.0.0.0/8"]) == [CLIENT, "https"]


@pytest.mark.usefixtures("http1")
async def test_V8_over_a_socket_a_peer_that_is_not_listed_is_not_believed() -> None:
    assert await asked(forwarded_from=["10.0.0.0/8"]) == ["127.0.0.1", "http"]
