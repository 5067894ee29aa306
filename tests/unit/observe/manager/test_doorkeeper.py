"""Doorkeeper: one browser, by a code that is good once; nobody else, under no other name, and nothing but looking."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from evox.observe.manager.doorkeeper import Doorkeeper, Sessions

HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for the pages: say which one it is."""
    answer: Response = PlainTextResponse(f"page {Request(scope).url.path}")
    await answer(scope, receive, send)


@asynccontextmanager
async def browser(
    sessions: Sessions, url: str = "http://127.0.0.1:8100", hosts: tuple[str, ...] = HOSTS
) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(Doorkeeper(pages, sessions, hosts))
    async with httpx2.AsyncClient(transport=transport, base_url=url) as client:
        yield client


async def test_the_code_lets_a_browser_in_once_and_it_is_known_from_then_on() -> None:
    sessions = Sessions()
    async with browser(sessions) as client, browser(sessions) as other:
        entered = await client.get(f"/enter?code={sessions.code}")
        assert entered.status_code == 200
        assert (await client.get("/queues")).text == "page /queues"
        again = await other.get(f"/enter?code={sessions.code}")
        assert (again.status_code, "was used" in again.text) == (403, True)
        assert (await other.get("/")).status_code == 401
        assert (await client.get("/")).status_code == 200
    assert repr(sessions) == "<Sessions: 1>"


async def test_the_browser_that_was_let_in_may_open_the_link_again() -> None:
    """A second click on the URL in the terminal said that the dashboard has to be started again, to who was let in."""
    sessions = Sessions()
    async with browser(sessions) as client, browser(sessions) as other:
        link = f"/enter?code={sessions.code}"
        first, second = await client.get(link), await client.get(link)
        assert (second.status_code, second.text) == (200, first.text)
        assert "set-cookie" not in second.headers
        assert (await other.get(link, headers={"cookie": "evox-dashboard-8100=x"})).status_code == 403
        assert (await other.get("/")).status_code == 401
    assert repr(sessions) == "<Sessions: 1>"


@pytest.mark.parametrize("code", ["", "x", "%00", "%ff%fe", "é", "a" * 5000])
async def test_another_code_lets_nobody_in_and_does_not_use_the_code_up(code: str) -> None:
    sessions = Sessions()
    async with browser(sessions) as client:
        assert (await client.get(f"/enter?code={code}")).status_code == 403
        assert (await client.get("/enter")).status_code == 403
        assert not client.cookies
        assert (await client.get(f"/enter?code={sessions.code}")).status_code == 200


async def test_looking_whether_the_link_works_does_not_use_the_code_up() -> None:
    sessions = Sessions()
    async with browser(sessions) as client:
        assert (await client.head(f"/enter?code={sessions.code}")).status_code == 403
        assert (await client.get(f"/enter?code={sessions.code}")).status_code == 200


async def test_codes_and_sessions_are_long_and_each_is_another() -> None:
    codes = {Sessions().code for _ in range(50)}
    assert len(codes) == 50
    assert min(map(len, codes)) >= 43


@pytest.mark.parametrize(("url", "is_secure"), [("http://127.0.0.1:8100", False), ("https://localhost:8100", True)])
async def test_the_cookie_is_for_this_host_alone_and_no_script_reads_it(url: str, is_secure: bool) -> None:
    sessions = Sessions()
    async with browser(sessions, url) as client:
        cookie = (await client.get(f"/enter?code={sessions.code}")).headers["set-cookie"].lower()
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert ("secure" in parts) == is_secure
    assert not any(part.startswith(("domain", "max-age", "expires")) for part in parts)
    assert sessions.code.lower() not in cookie


@pytest.mark.parametrize("cookie", ["", "x", "é", "evox", "a" * 4000])
async def test_a_cookie_that_was_not_given_out_opens_nothing(cookie: str) -> None:
    sessions = Sessions()
    async with browser(sessions) as client:
        client.headers["cookie"] = f"evox-dashboard-8100={cookie}".encode().decode("latin-1")
        assert (await client.get("/")).status_code == 401


async def test_two_dashboards_on_one_host_do_not_take_each_others_cookies() -> None:
    """Browsers share cookies between the ports of a host."""
    one, two = Sessions(), Sessions()
    async with browser(one, "http://127.0.0.1:8100") as first, browser(two, "http://127.0.0.1:8200") as second:
        await first.get(f"/enter?code={one.code}")
        second.cookies = first.cookies
        assert (await second.get("/")).status_code == 401
        await second.get(f"/enter?code={two.code}")
        assert (await second.get("/")).status_code == 200
        first.cookies = second.cookies
        assert (await first.get("/")).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8100", "LOCALHOST:1", "localhost", "[::1]", "[::1]:8100", "127.0.0.1:65535"],
)
async def test_its_own_names_are_taken_with_any_port(host: str) -> None:
    """A tunnel may lead from another port."""
    async with browser(Sessions()) as client:
        assert (await client.get("/", headers={"host": host})).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8100",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8100",
        "127.0.0.2",
        "[::2]",
        "[::1].evil.example",
        "[::1",
        "::1",
        "localhost:8100@evil.example",
        "localhost:port",
        "localhost:99999",
        "localhost:",
        "local host",
        "localhost/",
        "localhost, evil.example",
        "127.1",
        "2130706433",
    ],
)
async def test_a_request_for_another_host_is_refused_whoever_sends_it(host: str) -> None:
    """A name that leads here from elsewhere; and a port that is none was an error of the dashboard itself."""
    sessions = Sessions()
    async with browser(sessions) as client:
        await client.get(f"/enter?code={sessions.code}")
        for path in ("/", "/health", "/enter", "/static/dashboard.js"):
            answer = await client.get(path, headers={"host": host})
            assert answer.status_code == 421, (host, path)


async def test_two_host_headers_are_refused() -> None:
    async with browser(Sessions()) as client:
        answer = await client.get("/", headers=[("host", "127.0.0.1"), ("host", "localhost")])
        assert answer.status_code == 421


async def test_the_address_that_it_listens_on_is_one_of_its_names() -> None:
    async with browser(Sessions(), "http://[fd00::1]:8100", ("[fd00::1]",)) as client:
        assert (await client.get("/")).status_code == 401
        assert (await client.get("/", headers={"host": "127.0.0.1"})).status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
async def test_nothing_but_looking_is_answered_not_even_to_who_is_known(method: str) -> None:
    sessions = Sessions()
    async with browser(sessions) as client:
        await client.get(f"/enter?code={sessions.code}")
        for path in ("/", "/health", "/enter", "/series", "/nowhere"):
            scope = scope_of(method, path)
            status, headers = await asked(sessions, scope)
            assert status == 405
            assert headers["allow"] == "GET, HEAD"
            assert "access-control-allow-origin" not in headers


async def test_a_websocket_is_refused() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Doorkeeper(pages, Sessions(), HOSTS)({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [one["type"] for one in sent] == ["websocket.close"]


def scope_of(method: str, path: str) -> Scope:
    """Return a request as no client would send it."""
    host, server = [(b"host", b"localhost")], ("127.0.0.1", 8100)
    scope: Scope = {"type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http"}
    scope.update(headers=host, server=server)
    return scope


async def asked(sessions: Sessions, scope: Scope) -> tuple[int, dict[str, str]]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Doorkeeper(pages, sessions, HOSTS)(scope, receive, send)
    start = sent[0]
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}


@pytest.mark.parametrize("path", ["/", "/queues", "/static/dashboard.js", "/health", "/enter", "/nowhere", "/series"])
@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
async def test_every_answer_forbids_what_comes_from_elsewhere(
    path: str, is_known: bool, method: str, host: str
) -> None:
    sessions = Sessions()
    async with browser(sessions) as client:
        if is_known:
            await client.get(f"/enter?code={sessions.code}")
        answer = await client.request(method, path, headers={"host": host})
    assert HEADERS.items() <= dict(answer.headers).items()
    policy = dict(one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/startup"])
async def test_who_watches_over_processes_may_ask_for_health_without_a_code(path: str) -> None:
    async with browser(Sessions()) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/health/", "/healthy", "//health", "/health/../", "/static/../health", "/%2e/health"]
)
async def test_what_only_looks_like_health_needs_a_code(path: str) -> None:
    sessions = Sessions()
    assert (await asked(sessions, scope_of("GET", path)))[0] == 401
