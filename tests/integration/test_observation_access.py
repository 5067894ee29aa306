"""Who may look: this machine with --dev, who shows a token in production, nobody where it is switched off."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.middleware.cors import CORSMiddleware
from tests.support import Run

from evox import ServiceBuilder
from evox.core import auth
from evox.errors import UnusableKey
from evox.services.observing import VIEWS, Onlookers, view_path
from evox.testing import Env, running

TOKEN = "w9Xk2Lm7Qp4Rt8Vz1Ns6Hd3Fb5Jc0Ga-e"
SVC = """
from evox import ServiceBuilder
svc = ServiceBuilder("shop").port(0)

@svc.get("/hello")
async def hello() -> str:
    return "hello"
"""


def service() -> ServiceBuilder:
    made = ServiceBuilder("users")

    @made.get("/users/{user_id}")
    @auth.require_roles("admin")
    async def get_user(user_id: int) -> int:
        return user_id

    return made


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "look.txt").write_text(TOKEN + "\n")
    return {"observe": {"access": "token", "tokens": [str(tmp_path / "look.txt")]}}


async def status(env: Env, view: str, headers: Mapping[str, str] | None = None) -> int:
    reply = await env.client("users").get(view_path(view), headers=headers)
    return int(reply.status_code)


async def test_O1_a_token_lets_in_and_nothing_else_does(settings: dict[str, Any]) -> None:
    async with running(service(), settings=settings) as env:
        good = {"authorization": f"Bearer {TOKEN}"}
        bad: list[dict[str, str]] = [
            {},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": f"Bearer {TOKEN[:-1]}"},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": TOKEN},
            {"authorization": "Bearer "},
            {"authorization": f"Evox-Internal {TOKEN}"},
            {"authorization": f"Bearer {env.token('ada', roles=['admin'])}"},
            {"cookie": f"token={TOKEN}"},
            {"x-forwarded-for": "127.0.0.1"},
        ]
        for view in VIEWS:
            assert (view, await status(env, view, good)) == (view, 200)
            assert [await status(env, view, one) for one in bad] == [401] * len(bad)
        reply = await env.client("users").get(f"/_evox/info?token={TOKEN}&access_token={TOKEN}")
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in reply.text
        assert env.service("users").authority.statistics().refused >= len(VIEWS) * len(bad)


async def test_O1_health_and_capabilities_are_for_everybody(settings: dict[str, Any]) -> None:
    async with running(service(), settings=settings) as env:
        for path in ("/health", "/health/live", "/health/ready", "/health/startup", "/capabilities"):
            assert (path, (await env.client("users").get(path)).status_code) == (path, 200)
        assert "operations" in (await env.client("users").get("/capabilities")).json()  # tests run as with --dev


async def test_switched_off_nobody_may(settings: dict[str, Any]) -> None:
    settings["observe"]["access"] = "off"
    async with running(service(), settings=settings) as env:
        assert await status(env, "info", {"authorization": f"Bearer {TOKEN}"}) == 401


@pytest.mark.parametrize(
    ("text", "why"),
    [("short", "it is no token"), ("two words " * 10, "it is no token"), ("", "the file is empty")],
    ids=["short", "words", "empty"],
)
async def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "look.txt").write_text(text)
    settings = {"observe": {"access": "token", "tokens": [str(tmp_path / "look.txt")]}}
    with pytest.raises(UnusableKey, match=why) as caught:
        async with running(service(), settings=settings):
            pass
    if text.strip():
        assert text.strip() not in str(caught.value)


def scope(client: str | None = "127.0.0.1", host: str | None = "localhost:8000", **headers: str) -> dict[str, Any]:
    given = {name.replace("_", "-"): value for name, value in headers.items()} | ({"host": host} if host else {})
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return {"headers": raw, "client": None if client is None else (client, 50_000)}


def may_look(asked: dict[str, Any], *, access: Any = "auto", mode: Any = "development") -> bool:
    from evox.config import ObserveSettings
    from evox.errors import NotAuthenticated

    try:
        Onlookers(ObserveSettings(access=access), Path(), mode).check(asked, "/_evox/info")
    except NotAuthenticated:
        return False
    return True


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.8.8.8", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000", "LOCALHOST"])
def test_with_dev_this_machine_may(client: str, host: str) -> None:
    assert may_look(scope(client, host))


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_a_page_of_this_machine_may_too(origin: str) -> None:
    assert may_look(scope(origin=origin))


@pytest.mark.parametrize(
    "asked",
    [
        scope("10.0.0.7"),
        scope("::ffff:10.0.0.7"),
        scope(None),
        scope("203.0.113.9", "localhost"),
        scope(host="shop.example"),
        scope(host="localhost.shop.example"),
        scope(host="127.0.0.1.shop.example"),
        scope(host=None),
        scope(host=""),
        scope(x_forwarded_for="203.0.113.9"),
        scope(forwarded="for=203.0.113.9"),
        scope(x_real_ip="203.0.113.9"),
        scope(via="1.1 proxy"),
        scope(x_forwarded_host="shop.example"),
        scope(x_forwarded_proto="https"),
        scope(cf_connecting_ip="203.0.113.9"),
        scope(origin="https://shop.example"),
        scope(origin="https://localhost.shop.example:8000"),
        scope(origin="null"),
        {"headers": [(b"host", b"localhost"), (b"host", b"shop.example")], "client": ("127.0.0.1", 1)},
    ],
)
def test_with_dev_nobody_else_may_nor_a_page_that_leads_a_browser_here(asked: dict[str, Any]) -> None:
    assert not may_look(asked)


def test_in_production_not_even_this_machine_may_without_a_token() -> None:
    assert not may_look(scope(), mode="production")
    assert may_look(scope(), mode="production", access="loopback")


def test_O1_in_production_on_all_addresses_all_but_health_and_capabilities_wants_the_token(
    evox_run: Run, backend: str
) -> None:
    env = {"EVOX_OBSERVE__TOKENS": "env:LOOK", "LOOK": TOKEN}
    process = evox_run({"shop.py": SVC}, "--host", "0.0.0.0", "--json", "--backend", backend, env=env)
    host, port = process.address("shop")
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        assert host == "0.0.0.0"
        for path in ("/health", "/health/ready", "/capabilities", "/hello"):
            assert (path, client.get(path).status_code) == (path, 200)
        for view in VIEWS:
            assert (view, client.get(view_path(view)).status_code) == (view, 401)
            reply = client.get(view_path(view), headers={"authorization": f"Bearer {TOKEN}"})
            assert (view, reply.status_code) == (view, 200)
    assert process.end() == 0
    assert TOKEN not in process.out + process.err


def test_a_missing_token_keeps_a_process_from_starting(evox_run: Run) -> None:
    process = evox_run({"shop.py": SVC}, env={"EVOX_OBSERVE__TOKENS": "env:LOOK"})
    assert process.wait() == 78
    assert "LOOK in the environment" in process.err


async def test_a_page_from_elsewhere_may_not_whatever_the_app_lets_pages_read() -> None:
    made = service()
    made.app.add_middleware(CORSMiddleware, allow_origins=["*"])
    async with running(made) as env:
        assert await status(env, "config") == 200
        assert await status(env, "config", {"origin": "https://shop.example"}) == 401
