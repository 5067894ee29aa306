"""Calls between services over HTTP: let in by a token for the operation, and never by what looks internal."""

from pathlib import Path
from typing import Any

import pytest

from evox import Service, ServiceBuilder
from evox.auth import Internal, Principal, current, public, require_intent, require_roles
from evox.testing import running
from evox.testing.harness import Env

ADA = Principal("user", "ada", frozenset({"user"}), "evox")
HEADERS = [
    ("x-internal", "true"),
    ("x-evox-internal", "1"),
    ("x-evox-caller", "orders"),
    ("x-evox-principal", "system"),
    ("x-forwarded-for", "127.0.0.1"),
    ("forwarded", "for=127.0.0.1;by=orders"),
    ("x-real-ip", "127.0.0.1"),
    ("via", "orders"),
    ("host", "localhost"),
    ("user-agent", "evox"),
    ("x-evox-origin", "internal"),
    ("origin", "internal"),
]


def users() -> Service:
    svc = ServiceBuilder("users")

    @svc.get("/private", private=True)
    def private() -> dict[str, Any]:
        who = current()
        return {"kind": who.kind, "subject": who.subject, "roles": sorted(who.roles), "chain": list(who.chain)}

    @svc.get("/role", private=True)
    @require_roles("user")
    def role() -> str:
        return "role"

    @svc.get("/known")
    @require_intent("read")
    def known() -> str:
        return current().kind

    @svc.get("/open")
    @public
    def open_() -> str:
        return current().kind

    return svc


def internal(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "internal.key").write_text("Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-internal", encoding="utf-8")
    return {"settings": {"auth": {"internal_keys": ["internal.key"]}}, "root": tmp_path}


def credentials(env: Env, operation: str, call: Internal, audience: str = "users") -> dict[str, str]:
    tokens = env.service("users").authority.internal_tokens()
    assert tokens is not None
    token = tokens.issue(call, audience=audience, operation=operation)
    return {"authorization": f"Evox-Internal {token}"}


async def test_A6_another_service_is_let_in_on_behalf_of_its_user(tmp_path: Path) -> None:
    async with running(users(), **internal(tmp_path)) as env:
        client = env.client("users")
        reply = await client.get("/private", headers=credentials(env, "GET /private", Internal("orders", ADA)))
        assert reply.json() == {"kind": "user", "subject": "ada", "roles": ["user"], "chain": ["orders"]}
        reply = await client.get("/private", headers=credentials(env, "GET /private", Internal("orders")))
        assert reply.json() == {"kind": "service", "subject": "orders", "roles": [], "chain": ["orders"]}
        assert (
            await client.get("/known", headers=credentials(env, "GET /known", Internal("orders")))
        ).json() == "service"


async def test_A6_a_service_adds_no_role_to_its_user(tmp_path: Path) -> None:
    async with running(users(), **internal(tmp_path)) as env:
        client = env.client("users")
        assert (await client.get("/role", headers=credentials(env, "GET /role", Internal("o", ADA)))).status_code == 200
        assert (await client.get("/role", headers=credentials(env, "GET /role", Internal("o")))).status_code == 403


async def test_A6_a_token_for_another_operation_or_service_is_refused_and_not_downgraded(tmp_path: Path) -> None:
    call = Internal("orders", ADA)
    async with running(users(), **internal(tmp_path)) as env:
        client = env.client("users")
        bad = [
            credentials(env, "GET /role", call),
            credentials(env, "GET /private", call, audience="items"),
            {"authorization": "Evox-Internal nonsense"},
            {"authorization": f"Evox-Internal {env.token('ada', roles=['user'])}"},
            {"authorization": "Evox-Internal"},
        ]
        for path in ("/private", "/open", "/known"):
            replies = [await client.get(path, headers=one) for one in bad]
            assert [one.status_code for one in replies] == [401] * len(bad), path


async def test_A6_operations_of_one_name_are_two(tmp_path: Path) -> None:
    svc = users()

    @svc.delete("/private", private=True, name="private")
    def remove() -> str:
        return "removed"

    call = Internal("orders", ADA)
    async with running(svc, **internal(tmp_path)) as env:
        client = env.client("users")
        for method, operation, status in (
            ("GET", "GET /private", 200),
            ("DELETE", "GET /private", 401),
            ("DELETE", "private", 401),
            ("DELETE", "DELETE /private", 200),
        ):
            reply = await client.request(method, "/private", headers=credentials(env, operation, call))
            assert reply.status_code == status, (method, operation)


async def test_A6_where_no_keys_are_shared_no_call_is_internal() -> None:
    async with running(users()) as env:
        reply = await env.client("users").get("/private", headers={"authorization": "Evox-Internal a.b.c"})
        assert reply.status_code == 401


@pytest.mark.parametrize("path", ["/private", "/role"])
async def test_A6_who_only_looks_internal_is_from_outside(path: str, tmp_path: Path) -> None:
    async with running(users(), sockets=True, **internal(tmp_path)) as env:
        client = env.client("users", token=env.token("ada", roles=["user"]))
        for header in HEADERS:
            assert (await client.get(path, headers=dict([header]))).status_code == 403, header
        assert (await client.get(path, headers=dict(HEADERS))).status_code == 403
        assert (await client.get("/open", headers=dict(HEADERS))).json() == "user"
