"""X9: a key is its caller's own. Nobody is given another's answer, and who is refused is given none."""

import secrets
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Security
from fastapi.security import APIKeyCookie, APIKeyHeader
from tests.integration.keyed import KINDS, on, post, sums

from evox import Cookie, Depends, Header, Request, ServiceBuilder
from evox.core import auth, proxy
from evox.errors import CallInvalid
from evox.testing import running

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def test_X9_each_principal_has_keys_of_its_own(kind: str, tmp_path: Path) -> None:
    svc, runs = ServiceBuilder("till"), list[str]()

    @svc.post("/x", idempotency=60)
    @auth.require_roles("user")
    async def x() -> str:
        runs.append(auth.current().subject)
        return auth.current().subject

    async with running(svc, settings=on(kind, tmp_path)) as env:
        for name in ("ada", "bob", "ada", "bob"):
            answer = await post(env, "/x", token=env.token(name, roles=["user"]))  # a new token each time
            assert answer.json() == name
        assert runs == ["ada", "bob"]


async def test_X9_who_is_refused_is_given_no_answer(kind: str, tmp_path: Path) -> None:
    svc = ServiceBuilder("till")

    @svc.post("/x", idempotency=60)
    @auth.require_roles("user")
    async def x() -> str:
        return "secret"

    async with running(svc, settings=on(kind, tmp_path)) as env:
        assert (await post(env, "/x", token=env.token("ada", roles=["user"]))).status_code == 200
        assert (await post(env, "/x")).status_code == 401
        assert (await post(env, "/x", token=env.token("ada", roles=[]))).status_code == 403
        assert (await post(env, "/x", "", token=env.token("ada", roles=[]))).status_code == 403
        assert sums(env).replayed == 0


async def test_X9_nobody_who_is_unknown_is_told_from_another(kind: str, tmp_path: Path) -> None:
    svc = ServiceBuilder("till")

    @svc.post("/x", idempotency=60)
    @auth.public
    async def x() -> str:
        return auth.current().kind

    async with running(svc, settings=on(kind, tmp_path)) as env:
        await post(env, "/x")
        assert (await post(env, "/x", headers={"user-agent": "other"})).headers["idempotency-replayed"] == "true"
        known = await post(env, "/x", token=env.token("ada"))
        assert (known.json(), "idempotency-replayed" in known.headers) == ("user", False)


async def test_X9_credentials_that_evox_knows_nothing_of_tell_callers_apart(kind: str, tmp_path: Path) -> None:
    """A replay skips dependencies, so it must not give what they would have refused."""
    svc = ServiceBuilder("till")
    by_header, by_cookie = APIKeyHeader(name="X-Api-Key"), APIKeyCookie(name="session")

    async def nested(key: Annotated[str, Security(by_cookie)]) -> str:
        return key

    @svc.post("/header", idempotency=60)
    async def header(key: Annotated[str, Security(by_header)]) -> str:
        return key

    @svc.post("/cookie", idempotency=60)
    async def cookie(key: Annotated[str, Depends(nested)]) -> str:
        return key

    @svc.post("/bare", idempotency=60)
    async def bare(authorization: Annotated[str, Header()]) -> str:
        return authorization

    async with running(svc, settings=on(kind, tmp_path)) as env:
        for name in ("ada", "bob", "ada", "bob"):
            assert (await post(env, "/header", headers={"x-api-key": name})).json() == name
            assert (await post(env, "/cookie", headers={"cookie": f"session={name}"})).json() == name
            assert (await post(env, "/bare", headers={"authorization": name})).json() == name
        assert (await post(env, "/header")).status_code in (401, 403)
        assert sums(env).replayed == 6


async def test_X9_headers_and_cookies_that_a_request_is_made_of_are_part_of_it(kind: str, tmp_path: Path) -> None:
    svc = ServiceBuilder("till")

    async def user(x_user: Annotated[str, Header()], x_request_id: Annotated[str, Header()]) -> str:
        return x_user

    @svc.post("/x", idempotency=60)
    async def x(user: Annotated[str, Depends(user)], shop: Annotated[str, Cookie()]) -> Any:
        return [user, shop]

    def by(name: str, attempt: str = "1", shop: str = "a") -> dict[str, str]:
        return {"x-user": name, "x-request-id": attempt, "cookie": f"shop={shop}"}

    async with running(svc, settings=on(kind, tmp_path)) as env:
        assert (await post(env, "/x", headers=by("ada"))).json() == ["ada", "a"]
        again = await post(env, "/x", headers=by("ada", "2"))  # another attempt of the same
        assert again.headers["idempotency-replayed"] == "true"
        for other in (by("bob"), by("ada", shop="b")):
            assert (await post(env, "/x", headers=other)).status_code == 422


async def test_X9_calls_of_other_services_are_answered_once_for_each_key(kind: str, tmp_path: Path) -> None:
    runs = list[str]()
    shop, till = ServiceBuilder("shop"), ServiceBuilder("till")

    @till.post("/charges", idempotency=60)
    async def charge(amount: int) -> int:
        runs.append(str(amount))
        return len(runs)

    @shop.post("/")
    async def order() -> None: ...

    async with running(shop, till, settings=on(kind, tmp_path)) as env:
        for _ in range(2):
            assert await proxy.till.charge(5).with_key("k") == 1
        assert await proxy.till.charge(5).with_key("other") == 2
        assert await proxy.till.charge(5) == 3  # the proxy makes a key of its own
        assert sums(env).kept == 3
        assert (await post(env, "/charges?amount=5", "k")).json() == 4  # a client from outside is somebody else


@pytest.mark.parametrize("asks", [False, True])
async def test_X9_a_token_between_services_is_new_for_each_attempt_and_its_caller_is_not(
    kind: str, tmp_path: Path, *, asks: bool
) -> None:
    runs = list[str]()
    shop, till = ServiceBuilder("shop"), ServiceBuilder("till")

    @till.post("/charges", idempotency=60, private=asks)
    async def charge(amount: int) -> str:
        runs.append(auth.current().subject)
        return f"{len(runs)} {auth.current().subject}"

    secret = tmp_path / "internal.key"
    secret.write_text(secrets.token_urlsafe(40))
    known = {"auth": {"internal_keys": [str(secret)]}}
    async with running(till, sockets=True, settings=on(kind, tmp_path) | known) as there:
        peers = {"peers": {"till": there.url(till)}}
        async with running(shop, declared=[till], settings=known | peers):
            for _ in range(2):
                assert await proxy.till.charge(5).with_key("k") == "1 shop"
            assert (await proxy.till.charge(5).with_key("k2"))[0] == "2"
            with pytest.raises(CallInvalid):
                await proxy.till.charge(6).with_key("k")
        assert (sums(there).kept, sums(there).replayed, sums(there).mismatches) == (2, 1, 1)


async def test_X9_a_session_that_nobody_has_declared_is_given_nobody_elses_answer(kind: str, tmp_path: Path) -> None:
    svc, runs = ServiceBuilder("till"), list[str]()

    def user(request: Request) -> str:
        return request.cookies.get("session", "") or request.headers.get("x-user", "")

    @svc.post("/opaque", idempotency=60)
    async def opaque(name: Annotated[str, Depends(user)]) -> str:
        runs.append(name)
        return name

    @svc.post("/plain", idempotency=60)
    async def plain() -> str:
        return "what middleware may have made of a cookie"

    async with running(svc, settings=on(kind, tmp_path)) as env:
        for path, header in (("/opaque", "cookie"), ("/opaque", "x-user"), ("/plain", "cookie")):
            ada, bob = ({header: f"session={name}" if header == "cookie" else name} for name in ("ada", "bob"))
            given = {"key": f"{path}-{header}"}
            first = await post(env, path, headers=ada, **given)
            assert (await post(env, path, headers=ada | {"traceparent": "00-1-1-00"}, **given)).json() == first.json()
            assert (await post(env, path, headers=bob, **given)).status_code == 422
        assert runs == ["ada", "ada"]
