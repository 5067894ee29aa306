"""A1, A6: what is for other services alone is reached through the proxy alone, whatever a path leads to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from evox import Request, Service, ServiceBuilder
from evox.auth import Authority, Internal
from evox.config import AuthSettings
from evox.core import auth, data_intent, proxy
from evox.errors import CallDenied, InvalidCall, MissingKeys
from evox.testing import Env, running, spread

KEYS = {"keys": ["users.key"], "internal_keys": ["internal.key"]}
BUILT_IN = ("health", "health/live", "_evox/operations", "openapi.json", "docs")
both = pytest.mark.parametrize("where", ["in-process", "loopback"])
Where = Literal["in-process", "loopback"]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "users.key").write_text("Qm7xT2vR9pL4kW8sZ1cN6bH3yD5fG0jA-users", encoding="utf-8")
    (tmp_path / "internal.key").write_text("Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-internal", encoding="utf-8")
    return {"settings": {"auth": KEYS}, "root": tmp_path}


def callee(*, asks: bool = True) -> ServiceBuilder:
    svc, router = ServiceBuilder("callee"), APIRouter()

    @svc.get("/hidden", private=True)
    async def hidden() -> str:
        return "hidden"

    @svc.get("/shown")
    @auth.public
    async def shown() -> str:
        return "shown"

    @router.get("/routed")
    async def routed() -> str:
        return auth.current().kind

    @router.get("/undocumented", include_in_schema=False)
    async def undocumented() -> str:
        return auth.current().kind

    svc.include_router(router)
    if asks:

        @svc.get("/admin")
        @auth.require_roles("admin")
        async def admin() -> str:
            return "admin"

    return svc


def token(env: Env, operation: str, audience: str = "callee") -> Mapping[str, str]:
    tokens = env.service("callee").authority.internal_tokens()
    assert tokens is not None
    made = tokens.issue(Internal("asker"), audience=audience, operation=operation)
    return {"authorization": f"Evox-Internal {made}"}


async def described(env: Env, headers: Mapping[str, str]) -> tuple[int, set[str]]:
    answer = await env.client("callee").get("/_evox/operations", headers=headers)
    return answer.status_code, {one["name"] for one in answer.json().get("operations", ())}


@both
async def test_A1_a_private_endpoint_is_for_the_proxy_alone(where: Where) -> None:
    asker, svc = ServiceBuilder("asker"), callee()
    async with spread(where, asker, svc) as env:
        assert await proxy.callee.hidden() == "hidden"
        for name in ("routed", "undocumented", "admin"):
            with pytest.raises(CallDenied):
                await getattr(proxy.callee, name)()
        if where == "in-process":
            admin = env.token("root", roles=["admin"])
            for one in (env.client(svc), env.client(svc, token=admin)):
                assert (await one.get("/hidden")).status_code in (401, 403)


@pytest.mark.parametrize("sockets", [False, True])
async def test_A1_services_are_told_all_and_others_what_the_document_says(keys: Any, *, sockets: bool) -> None:
    every = {"hidden", "shown", "routed", "undocumented", "admin"}
    public = every - {"hidden", "undocumented"}
    async with running(callee(), sockets=sockets, **keys) as env:
        user = {"authorization": f"Bearer {env.token('ada', roles=['admin'])}"}
        assert await described(env, {}) == (200, public)
        assert await described(env, user) == (200, public)
        assert await described(env, token(env, "GET /_evox/operations")) == (200, every)
        for bad in (
            token(env, "GET /hidden"),
            token(env, "HEAD /_evox/operations"),
            token(env, "GET /_evox/operations", audience="other"),
            {"authorization": "Evox-Internal x.y.z"},
            {"authorization": "Bearer x.y.z"},
            {"authorization": user["authorization"].replace("Bearer", "Evox-Internal")},
            {"authorization": token(env, "GET /_evox/operations")["authorization"].replace("Evox-Internal", "Bearer")},
        ):
            assert await described(env, bad) == (401, set())


async def test_A1_in_production_nobody_but_services_is_told_anything(keys: Any) -> None:
    svc = callee()
    async with running(svc, **keys) as env:
        env.service(svc).authority.mode = "production"
        user = {"authorization": f"Bearer {env.token('ada', roles=['admin'])}"}
        assert await described(env, {}) == (401, set())
        assert await described(env, user) == (401, set())
        status, names = await described(env, token(env, "GET /_evox/operations"))
        assert (status, "hidden" in names) == (200, True)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x.y.z"}, {"authorization": "Evox-Internal x.y.z"}])
async def test_A1_an_adopted_app_refuses_to_describe_itself_as_others_do(keys: Any, headers: Mapping[str, str]) -> None:
    app = FastAPI()

    @app.get("/mine")
    @auth.require_roles("admin")
    async def mine() -> str:
        return "mine"

    svc = Service.from_fastapi(app, name="callee")
    async with running(svc, **keys) as env:
        env.service(svc).authority.mode = "production"
        assert await described(env, headers) == (401, set())
        assert await described(env, token(env, "GET /_evox/operations")) == (200, {"mine"})


@both
@pytest.mark.parametrize("asks", [True, False])
async def test_A6_a_call_is_good_for_no_other_route_than_the_one_that_is_called(where: Where, *, asks: bool) -> None:
    """A path that a user chose led to the description with all private endpoints, and into an app that is mounted."""
    svc, inner, asker = callee(asks=asks), ServiceBuilder("inner"), ServiceBuilder("asker")

    @inner.get("/{path:path}", private=True)
    async def anything() -> str:
        return "mounted"

    svc.app.mount("/inner", inner.app)

    @svc.get("/{path:path}")
    @auth.public
    async def page(path: str, request: Request) -> str:
        return path

    async with spread(where, asker, svc, inner):
        assert await proxy.callee.page("other") == "other"
        for path in (*BUILT_IN, "inner/secret"):  # the values of arguments may be anybody's
            with pytest.raises(CallDenied):
                await proxy.callee.page(path)
        for path in ("hidden", "shown", "routed", "undocumented"):
            with pytest.raises(InvalidCall, match="its path is that of"):
                await proxy.callee.page(path)


async def test_A1_routes_for_any_path_stand_behind_what_is_built_in(keys: Any) -> None:
    svc = callee()

    @svc.get("/{path:path}")
    @auth.public
    async def page(path: str) -> str:
        return f"page {path}"

    async with running(svc, **keys) as env:
        client = env.client(svc)
        assert (await client.get("/_evox/operations")).json()["service"] == "callee"
        assert (await client.get("/_evox/other")).json() == "page _evox/other"
        assert (await client.get("/_evox/operations/")).json() == "page _evox/operations/"
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert set(paths) == {"/shown", "/routed", "/admin", "/{path}"}


@pytest.mark.parametrize("path", ["/routed", "/hidden", "/shown"])
async def test_A6_a_bad_token_of_a_service_is_refused_where_nobody_asks_too(keys: Any, path: str) -> None:
    """A router of a service that asked nothing took a token that was good for nothing for none at all."""
    svc = ServiceBuilder("callee")
    router = APIRouter()

    async def known() -> str:
        return auth.current().kind

    for name in ("/routed", "/shown"):
        (router if name == "/routed" else svc).get(name)(known)
    svc.get("/hidden", private=path == "/hidden")(known)
    svc.include_router(router)
    async with running(svc, **keys) as env:
        client = env.client(svc)
        assert (await client.get(path, headers=token(env, f"GET {path}"))).json() == "service"
        assert (await client.get(path, headers=token(env, "GET /other"))).status_code == 401
        assert (await client.get(path, headers=token(env, f"GET {path}", "other"))).status_code == 401
        assert (await client.get(path, headers={"authorization": "Evox-Internal x"})).status_code == 401


def test_A1_production_without_keys_does_not_start_what_is_private(tmp_path: Path) -> None:
    authority = Authority(AuthSettings(), tmp_path, mode="production")
    with pytest.raises(MissingKeys):
        authority.open(list(map(str, callee().asking)))
    assert authority.internal_tokens() is None


@pytest.mark.parametrize("types_ask", [False, True])
async def test_A6_a_service_that_is_mounted_in_another_one_knows_its_callers_itself(
    keys: Any, *, types_ask: bool
) -> None:
    """Where a type of the process had a requirement, the service above refused a token that was not for itself."""
    outer, inner = ServiceBuilder("outer"), ServiceBuilder("inner")
    if types_ask:

        @auth.require_roles("admin")
        @data_intent.cacheable(ttl=60)
        class Guarded(BaseModel):
            id: str

    @inner.get("/hidden", private=True)
    async def hidden() -> str:
        return auth.current().subject

    outer.app.mount("/inner", inner.app)
    async with running(outer, sockets=True, **keys) as there:
        more = {"settings": {**keys["settings"], "peers": {"inner": f"{there.url(outer)}/inner"}}, "root": keys["root"]}
        async with running(ServiceBuilder("asker"), declared=[inner], **more):
            assert await proxy.inner.hidden() == "asker"
