"""D6: kept answers of endpoints that ask who calls: each principal's own, given to nobody who may not have it."""

import time
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from pydantic import BaseModel

from evox import Depends, Header, Intent, Request, Response, ServiceBuilder
from evox.auth import Authority
from evox.config import AuthSettings
from evox.core import auth, data_io, proxy
from evox.testing import Env, run_virtual, running

admin = auth.require_roles("admin")


class Kept:
    """A service with a kept answer that says whose it is and how often it was made."""

    def __init__(self, declare: Any = None) -> None:
        self.svc, self.made = ServiceBuilder("kept"), list[str]()
        self.svc.get("/asks")(admin(lambda: "asks"))

        async def me() -> str:
            self.made.append(str(auth.current()))
            return f"{auth.current().subject} {sorted(auth.current().roles)} {auth.current().claims.get('tenant')}"

        self.svc.get("/me", cache="1h")((declare or auth.require_intent("look"))(me))

        @self.svc.put("/me")
        @admin
        async def change() -> None: ...


def said(reply: httpx2.Response) -> tuple[int, str]:
    status = reply.headers.get("cache-status", "none").removeprefix("evox; ")
    return reply.status_code, "hit" if status.startswith("hit") else status


MISS, HIT = (200, "fwd=miss; stored"), (200, "hit")


async def ask(env: Env, token: str | None, path: str = "/me", **headers: str) -> httpx2.Response:
    return await env.client("kept", token=token, headers=headers).get(path)


async def test_D6_each_principal_gets_an_answer_of_its_own() -> None:
    kept = Kept()
    async with running(kept.svc) as env:
        tokens = {name: env.token(name, roles=["user"]) for name in ("ada", "bob", "eve")}
        for expected in (MISS, HIT):
            for name, token in tokens.items():
                reply = await ask(env, token)
                assert (said(reply), reply.json()) == (expected, f"{name} ['user'] None")
    assert kept.made == [f"user '{name}'" for name in tokens]


async def test_D6_a_newer_token_of_the_same_user_gets_the_same_answer() -> None:
    async with running(Kept().svc) as env:
        first = env.token("ada", roles=["user", "admin"], ttl=600)
        newer = env.token("ada", roles=["user", "admin"], ttl=900, claims={"nbf": 1, "auth_time": 7})
        assert first != newer
        assert [said(await ask(env, token)) for token in (first, newer, first)] == [MISS, HIT, HIT]


OTHERS: dict[str, dict[str, Any]] = {
    "another role": {"roles": ["user", "admin"]},
    "a role less": {"roles": []},
    "a role in other letters": {"roles": ["User"]},
    "another tenant": {"claims": {"tenant": "b"}},
    "no tenant": {"claims": {}},
    "a tenant of another type": {"claims": {"tenant": ["a"]}},
    "a claim more": {"claims": {"tenant": "a", "plan": "pro"}},
    "a claim that is empty": {"claims": {"tenant": "a", "plan": None}},
    "another user": {"subject": "Ada"},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_D6_who_differs_in_rights_or_claims_gets_another_answer(other: dict[str, Any]) -> None:
    given: dict[str, Any] = {"subject": "ada", "roles": ["user"], "claims": {"tenant": "a"}}
    kept = Kept()
    async with running(kept.svc) as env:
        own, others = env.token(**given), env.token(**{**given, **other})
        assert [said(await ask(env, token)) for token in (own, others, own, others)] == [MISS, MISS, HIT, HIT]
    assert len(kept.made) == 2


def expired(folder: Path, subject: str, **options: Any) -> str:
    """Return a token that was good until a minute ago."""
    past = Authority(AuthSettings(keys=("key.txt",)), folder, clock=lambda: time.time() - 960)
    return past.issue(subject, ttl=900, **options)


async def test_D6_an_answer_is_not_given_to_who_may_not_have_it_now(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-tokens")
    kept = Kept(admin)
    async with running(kept.svc, settings={"auth": {"keys": ["key.txt"]}}, root=tmp_path) as env:
        root = env.token("root", roles=["admin"])
        assert [said(await ask(env, root)) for _ in range(2)] == [MISS, HIT]
        without = [(None, 401), (env.token("root", roles=["user"]), 403), ("no.good.token", 401)]
        late = expired(tmp_path, "root", roles=["admin"])
        for token, status in [*without, (f"{root[:-6]}AAAAAA", 401), (late, 401)]:
            for headers in ({}, {"if-none-match": "*"}):
                reply = await ask(env, token, **headers)
                assert said(reply) == (status, "none")
                assert reply.headers["cache-control"] == "no-store"
                assert "etag" not in reply.headers
        assert (await ask(env, root, **{"if-none-match": "*"})).status_code == 304
    assert len(kept.made) == 1


def test_D6_nor_is_an_old_one_while_the_source_fails() -> None:
    svc, fails = ServiceBuilder("kept"), False

    @svc.get("/me", cache=10, fallback="aggressive", max_stale="1h")
    @admin
    async def me() -> str:
        if fails:
            raise OSError
        return auth.current().subject

    async def main() -> None:
        nonlocal fails
        async with running(svc) as env:
            root = env.token("root", roles=["admin"])
            assert said(await ask(env, root)) == MISS
            fails = True
            await anyio.sleep(60)
            assert (await ask(env, root)).json() == "root"
            assert (await ask(env, env.token("root", roles=["admin", "more"]))).status_code == 500
            assert (await ask(env, env.token("root"))).status_code == 403
            assert (await ask(env, None)).status_code == 401

    run_virtual(main)


PRIVATE = ("private, max-age=0, must-revalidate", "authorization")


@pytest.mark.parametrize("declare", [admin, auth.public, auth.require_intent("look")])
async def test_D6_no_cache_that_many_share_may_keep_it(declare: Any) -> None:
    async with running(Kept(declare).svc) as env:
        token = env.token("root", roles=["admin"])
        replies = [await ask(env, token), await ask(env, token)]
        replies.append(await ask(env, token, **{"if-none-match": replies[0].headers["etag"]}))
        assert [reply.status_code for reply in replies] == [200, 200, 304]
        for reply in replies:
            assert (reply.headers["cache-control"], reply.headers["vary"].lower()) == PRIVATE


async def test_D6_what_a_handler_says_of_caches_and_what_else_it_reads_stays() -> None:
    svc = ServiceBuilder("kept")

    @svc.get("/me", cache=60)
    @Intent(vary_on=["accept_language"])
    @admin
    async def me(response: Response, accept_language: Annotated[str, Header()]) -> str:
        response.headers["cache-control"] = "max-age=5"
        response.headers["vary"] = "accept-encoding"
        return accept_language

    async with running(svc) as env:
        token = env.token("root", roles=["admin"])
        for language, expected in (("de", MISS), ("en", MISS), ("de", HIT)):
            reply = await ask(env, token, **{"accept-language": language})
            assert (said(reply), reply.json()) == (expected, language)
            assert reply.headers["cache-control"] == "max-age=5"
            assert set(reply.headers["vary"].lower().split(", ")) == {
                "accept-encoding",
                "accept-language",
                "authorization",
            }


async def test_D6_what_is_public_and_looks_at_its_caller_is_kept_for_each() -> None:
    kept = Kept(auth.public)
    async with running(kept.svc) as env:
        ada, bob = env.token("ada"), env.token("bob")
        for expected in (MISS, HIT):
            for caller, name in ((ada, "ada"), (bob, "bob"), (None, "")):
                reply = await ask(env, caller)
                assert (said(reply), reply.json()) == (expected, f"{name} [] None")
        for bad in ("no.good.token", f"{ada[:-6]}AAAAAA"):
            assert (await ask(env, bad)).json() == " [] None"


async def test_D6_callers_at_the_same_time_wait_for_their_own_and_not_for_others() -> None:
    svc, made, go_on = ServiceBuilder("kept"), list[str](), anyio.Event()

    @svc.get("/me", cache=60)
    @auth.require_intent("look")
    async def me() -> str:
        made.append(auth.current().subject)
        await go_on.wait()
        return auth.current().subject

    found: dict[str, set[str]] = {}
    async with running(svc) as env, anyio.create_task_group() as group:

        async def one(name: str) -> None:
            found.setdefault(name, set()).add((await ask(env, env.token(name))).json())

        for name in ("ada", "bob") * 3:
            group.start_soon(one, name)
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert sorted(made) == ["ada", "bob"]
    assert found == {"ada": {"ada"}, "bob": {"bob"}}


async def test_D6_a_write_takes_the_answers_of_all_away() -> None:
    kept = Kept()
    async with running(kept.svc) as env:
        ada, root = env.token("ada"), env.token("root", roles=["admin"])
        for token in (ada, root):
            assert said(await ask(env, token)) == MISS
        assert (await env.client("kept", token=ada).put("/me")).status_code == 403
        assert [said(await ask(env, token)) for token in (ada, root)] == [HIT, HIT]
        assert (await env.client("kept", token=root).put("/me")).status_code == 200
        assert [said(await ask(env, token)) for token in (ada, root)] == [MISS, MISS]


async def test_D6_with_dependencies_too() -> None:
    svc, ran = ServiceBuilder("kept"), list[str]()

    def tenant(request: Request) -> str:
        ran.append(str(auth.current()))
        return request.headers.get("x-tenant", "none")

    @svc.get("/me", cache=60)
    @Intent(vary_on=["tenant"])
    @auth.require_roles("user")
    async def me(tenant: Annotated[str, Depends(tenant)]) -> str:
        return f"{auth.current().subject} of {tenant}"

    async with running(svc) as env:
        ada, bob = (env.token(name, roles=["user"]) for name in ("ada", "bob"))
        for expected in (MISS, HIT):
            for token, name in ((ada, "ada"), (bob, "bob")):
                for where in ("a", "b"):
                    reply = await ask(env, token, **{"x-tenant": where})
                    assert (said(reply), reply.json()) == (expected, f"{name} of {where}")
                    assert (reply.headers["cache-control"], reply.headers["vary"].lower()) == PRIVATE
        before = len(ran)
        for caller, status in ((None, 401), (env.token("ada"), 403)):
            assert (await ask(env, caller, **{"x-tenant": "a"})).status_code == status
    assert before == len(ran) == 8


@admin
class Secret(BaseModel):
    text: str = "secret"


async def test_D6_an_endpoint_that_says_nothing_and_reads_what_asks_keeps_its_answers_apart() -> None:
    svc = ServiceBuilder("kept")

    @svc.get("/me", cache=60)
    async def me() -> Any:
        return await data_io.read(Secret, "1", loader=Secret)

    async with running(svc) as env:
        root, ada = env.token("root", roles=["admin"]), env.token("ada")
        for expected in (MISS, HIT):
            reply = await ask(env, root)
            assert said(reply) == (expected if expected is HIT else (200, "fwd=uri-miss; stored"))
            assert (reply.headers["cache-control"], reply.headers["vary"].lower()) == PRIVATE
            assert [(await ask(env, token)).status_code for token in (ada, None, "no.good.token")] == [403, 401, 401]


async def test_D6_what_is_kept_of_a_private_endpoint_is_for_no_client_from_outside() -> None:
    """A kept answer is given before the guard where nothing is to be guarded; here something is."""
    inner, outer = ServiceBuilder("inner"), ServiceBuilder("outer")

    @inner.get("/secret", cache="1h", private=True)
    async def secret() -> str:
        return "secret"

    @outer.get("/told")
    async def told() -> str:
        value: str = await proxy.inner.secret()
        return value

    async with running(inner, outer) as env:
        for _ in range(2):
            assert (await env.client(outer).get("/told")).json() == "secret"
            assert (await env.client(inner).get("/secret")).status_code in (401, 403)
