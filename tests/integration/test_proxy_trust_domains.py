"""A6: what a peer is told of who calls: a token of ours, the user's own, or nothing, and nobody else is told."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import APIRouter
from tests.faults.raw_peer import OK, RawPeer, answer, declared, raw_peer

from evox import Request, ServiceBuilder
from evox.core import auth, proxy
from evox.errors import CallFailed, UnknownService, UnusableAnswer
from evox.service_proxy import Switchboard
from evox.service_proxy.announced import Announced
from evox.service_proxy.registry import Registry
from evox.service_proxy.registry_memory import Instance
from evox.service_proxy.replies import NoAnswer
from evox.testing import acting_as, running

PLAIN = [
    "http://10.0.0.1",
    "HTTP://10.0.0.1",
    "http://users.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://[::ffff:10.0.0.1]",
    "http://2130706433",
    "http://0x7f.1",
    "http://127.1",
    "http://127.0.0.1@evil.example",
    "ftp://127.0.0.1",
]


def credentials(peer: RawPeer) -> list[str]:
    """Return what each request said of who makes it."""
    found = [re.search(rb"(?im)^authorization: *(\S+)", head) for head in peer.heads]
    return ["" if one is None else one[1].decode() for one in found]


def asker() -> ServiceBuilder:
    svc, router = ServiceBuilder("orders"), APIRouter()

    @svc.get("/required")
    @auth.require_roles("user")
    async def required() -> Any:
        return await proxy.users.get_user(1)

    @svc.get("/public")
    @auth.public
    async def public() -> Any:
        return await proxy.users.get_user(1)

    @svc.get("/asks-for-request")
    @auth.require_roles("user")
    async def asks_for_request(request: Request) -> Any:
        return await proxy.users.get_user(1)

    @svc.get("/job")
    @auth.public
    async def by_itself() -> Any:
        with acting_as(None):
            return await proxy.users.get_user(1)

    svc.include_router(router)
    return svc


def peers(peer: RawPeer, **more: Any) -> dict[str, Any]:
    return {"peers": {"users": {"url": peer.url, **more}}, "proxy": {"attempts": 1}}


@pytest.mark.parametrize("path", ["/required", "/public", "/asks-for-request", "/job"])
@pytest.mark.parametrize("forward", [True, False])
async def test_A6_an_external_peer_gets_no_token_of_ours_and_the_users_own_if_told_to(
    path: str, *, forward: bool
) -> None:
    async with raw_peer(OK) as peer:
        settings = peers(peer, trust="external", forward_user=forward)
        async with running(asker(), settings=settings, declared=[declared()]) as env:
            token = env.token("ada", roles=["user"])
            assert (await env.client("orders", token=token).get(path)).json() == 1
            await env.client("orders", token="not.a.token").get("/public")
            await env.client("orders", headers={"authorization": "Basic YTpi"}).get("/public")
            await env.client("orders").get("/public")
    is_sent = forward and path != "/job"
    assert credentials(peer) == ["Bearer" if is_sent else "", "", "", ""]
    assert (token.encode() in peer.heads[0]) == is_sent
    for head in peer.heads:
        assert b"vox-Internal" not in head
        assert b"x-evox-priority" not in head


@pytest.mark.parametrize("operation", ["direct", "with_request"])
async def test_A6_the_users_token_goes_on_from_behind_another_service_and_for_that_user_alone(operation: str) -> None:
    """A service that was called through its app, as one is that takes the request, did not hand it on."""
    first, middle = ServiceBuilder("first"), ServiceBuilder("middle")

    @middle.get("/direct")
    async def direct(other: str = "") -> Any:
        with acting_as(other, roles=["user"]) if other else nullcontext():
            return await proxy.users.get_user(1)

    @middle.get("/with-request")
    async def with_request(request: Request, other: str = "") -> Any:
        return await direct(other)

    @first.get("/on")
    @auth.require_roles("user")
    async def on(other: str = "") -> Any:
        return await getattr(proxy.middle, operation)(other=other)

    async with raw_peer(OK) as peer:
        settings = peers(peer, trust="external", forward_user=True)
        async with running(first, middle, settings=settings, declared=[declared()]) as env:
            client = env.client(first, token=env.token("ada", roles=["user"]))
            assert (await client.get("/on")).json() == 1
            assert (await client.get("/on?other=bob")).json() == 1
    assert credentials(peer) == ["Bearer", ""]


async def test_A6_an_internal_peer_gets_our_token_and_never_the_users() -> None:
    async with raw_peer(OK) as peer, running(asker(), settings=peers(peer), declared=[declared()]) as env:
        token = env.token("ada", roles=["user"])
        for path in ("/required", "/public", "/job"):
            assert (await env.client("orders", token=token).get(path)).json() == 1
    assert credentials(peer) == ["Evox-Internal"] * 3
    assert all(token.encode() not in head for head in peer.heads)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("trust", ["internal", "external"])
async def test_A6_a_redirect_carries_nothing_anywhere(status: str, trust: str) -> None:
    async with raw_peer(OK) as other:
        location = f"location: http://localhost:{other.port}/users/1"
        async with raw_peer(answer(b"", location, status=status)) as peer:
            more: dict[str, Any] = {"trust": trust, "forward_user": trust == "external"}
            async with running(asker(), settings=peers(peer, **more), declared=[declared()]) as env:
                token = env.token("ada", roles=["user"])
                assert (await env.client("orders", token=token).get("/required")).status_code == 502
                with pytest.raises(UnusableAnswer, match="redirect"):
                    await proxy.users.get_user(1)
    assert other.heads == []


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"])
async def test_A6_no_proxy_and_no_netrc_of_the_environment_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password eve\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    async with raw_peer(OK) as between, raw_peer(OK) as peer:
        monkeypatch.setenv(name, between.url)
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        settings = peers(peer, trust="external")
        async with running(ServiceBuilder("orders"), settings=settings, declared=[declared()]):
            assert await proxy.users.get_user(1) == 1
    assert (between.heads, credentials(peer)) == ([], [""])


class _Says:
    """A registry that says what a test wants."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    async def instances(self, service: str) -> tuple[Instance, ...]:
        return tuple(Instance(service, url) for url in self._urls)


@pytest.mark.parametrize("url", PLAIN)
async def test_A6_a_registry_leads_no_token_over_plain_http(url: str) -> None:
    announced = Announced("users", cast("Registry", _Says([url])), "https://{service}.example")
    with pytest.raises(NoAnswer, match="tokens go over https") as caught:
        await announced.locate()
    assert not caught.value.sent
    beside = Announced("users", cast("Registry", _Says([url, "https://users.example", url])), None)
    assert {await beside.locate() for _ in range(5)} == {"https://users.example"}


NAMES = [
    "evil.example",
    "users.evil",
    "a/../b",
    "a/b",
    "a@evil",
    "evil.example:443",
    "a:b",
    "a#b",
    "a?b",
    "a%2eb",
    "a\\b",
    "a b",
    "a\r\nb",
    "a\n",
    "\uff41",
    "ußers",
    "u\u017fers",
    "a。b",
    "a\u200d",
    "9users",
    "[::1]",
    "a" * 64,
    "",
]


@pytest.mark.parametrize("name", NAMES)
async def test_A6_a_name_that_came_from_anywhere_leads_to_no_other_host(name: str) -> None:
    async with running(ServiceBuilder("orders"), settings={"proxy": {"dns": "https://{service}.shop.example"}}) as env:
        board = env.service("orders").runtime.room(Switchboard)
        with pytest.raises(UnknownService):
            board.line(name)
        if name:
            with pytest.raises((UnknownService, AttributeError)):
                await getattr(proxy, name).get_user(1)
        assert board.line("users").target.kind == "remote"


async def test_A6_a_name_is_one_label_below_the_pattern() -> None:
    async with raw_peer(OK) as peer:
        dns = f"{peer.url}/at/{{service}}"
        async with running(ServiceBuilder("orders"), settings={"proxy": {"dns": dns, "attempts": 1}}):
            with pytest.raises(CallFailed):
                await proxy.User_svc.get_user(1)
    assert peer.heads[0].startswith(b"GET /at/User-svc/_evox/operations HTTP/1.1\r\n")
