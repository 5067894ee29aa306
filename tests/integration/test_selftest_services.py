"""``evox health --test`` on services of a user: what is wrong with them is found, and none of their code is run."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel
from starlette.responses import PlainTextResponse
from tests.selftests import failing, project_of, results_of

from evox import GET, Controller, Intent, Service, auth, service
from evox.auth import Requirement, claims
from evox.errors import EvoxError
from evox.services import guard
from evox.services.router_guard import RouterGuard


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    """Return the loop of the project: both, one after the other."""
    return str(request.param)


class Limits(BaseModel):
    limit: int


runs: list[str] = []


def ran(*_: Any, **__: Any) -> NoReturn:
    """Note that code of the user ran."""
    runs.append("it ran")
    raise AssertionError


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    """Hold for every test here that no code of the user runs."""
    runs.clear()
    yield
    assert runs == []


def add_hooks(svc: Service) -> None:
    """Give a service all that a service may have around its endpoints."""
    svc.on_startup(ran)
    svc.on_shutdown(ran)
    svc.background_task(interval=1)(ran)
    svc.health_check("db")(ran)

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        yield ran()

    svc.lifespan(opened)

    @svc.middleware("http")
    async def counted(request: Request, call_next: Any) -> Any:
        ran()

    @svc.exception_handler(401)
    @svc.exception_handler(405)
    @svc.exception_handler(EvoxError)
    async def told(request: Request, error: Exception) -> None:
        ran()


def shop() -> Service:
    """Return a service of which nothing may run: it would be noticed as an error."""
    svc = service("shop").config("shop", Limits)
    add_hooks(svc)

    def asked() -> str:
        ran()

    @svc.get("/items/{item_id}", cache=60, fallback="aggressive", max_stale="1h")
    @auth.public
    async def read_item(item_id: int) -> int:
        ran()

    @svc.endpoint("/items", methods=["POST", "PATCH"], priority="low")
    @auth.require_roles("clerk")
    async def write_items(item: dict[str, Any], who: Annotated[str, Depends(asked)]) -> None:
        ran()

    @svc.delete("/items/{item_id}")
    @auth.require_intent("item_delete", required_roles=["admin", "owner"])
    def drop_item(item_id: int) -> None:
        ran()

    @svc.get("/odd/{path:path}")
    async def undeclared(path: str) -> None:
        ran()

    @svc.post("/sync", private=True)
    async def sync() -> None:
        ran()

    async def raw(request: Request) -> PlainTextResponse:
        ran()

    svc.app.add_route("/raw/{name}", auth.require_roles("clerk")(raw), methods=["PUT"])
    svc.app.mount("/below", FastAPI())
    return svc


def test_a_service_in_order_passes_and_nothing_of_it_runs(loop: str) -> None:
    found = results_of("all", project_of(shop(), loop=loop, settings={"config": {"shop": {"limit": 3}}}))
    assert failing(found) == set()
    assert found["auth: a call without a token is 401"].why == "6 operations of 1 service"
    assert found["auth: a token without the roles is 403"].why == "6 operations of 1 service"
    assert found["auth: a token with the roles is let through"].why == "4 operations of 1 service"
    assert found["cache: the project's fallbacks can be kept"].why == "1 endpoint"
    assert found["service shop: answers 405 where a path has no such method"].why == "8 requests"


def test_A1_a_guard_that_is_broken_is_found_and_still_nothing_of_the_service_runs(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fault(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr(guard, "_let_through", fault)
    monkeypatch.setattr(Requirement, "check", lambda *_: None)
    found = results_of("services", project_of(shop(), loop=loop), only="auth: a")
    assert failing(found) == {
        "auth: a call without a token is 401",
        "auth: a token without the roles is 403",
        "auth: a forged token is refused",
        "auth: a foreign token is refused",
        "auth: an expired token is refused",
    }


def test_odd_settings_are_no_fault(loop: str) -> None:
    settings = {
        "priority": {"total": 1, "queue": 0, "per_client": 1},
        "data": {"throttle": "1d", "entries": 2, "l1_ttl": 0.1, "backend": "memory"},
        "auth": {"max_lifetime": 5, "leeway": 0, "roles_claim": "realm.roles", "issuer": "me", "audience": "you"},
        "serving": {"keep_alive": 0.1, "header_bytes": 2000, "connections": 1},
        "proxy": {"attempts": 1, "connections": 1},
        "runtime": {"start_timeout": 0.0001},
        "config": {"shop": {"limit": 3}},
        "workers": 4,
        "gateway": True,
        "host": "0.0.0.0",
    }
    assert failing(results_of("all", project_of(shop(), loop=loop, settings=settings))) == set()


def test_a_route_that_is_open_before_a_guarded_endpoint_is_found(loop: str) -> None:
    svc = service("shop")

    async def opened(request: Request) -> PlainTextResponse:
        ran()

    svc.app.router.add_route("/orders", auth.public(opened), methods=["GET"])

    @svc.get("/orders")
    @auth.require_roles("clerk")
    async def orders() -> None: ...

    found = results_of("framework", project_of(svc, loop=loop), only="service shop: reaches")
    [one] = found.values()
    assert not one.ok
    assert "GET /orders never reaches 'orders', but '/orders'" in one.why
    found = results_of("services", project_of(svc, loop=loop), only="auth: a call without")
    [one] = found.values()
    assert "GET /orders of shop is answered by something that was added to its app" in one.why


def test_a_route_that_an_endpoint_hides_is_left_out_and_a_mount_behind_endpoints_is_not_reached(loop: str) -> None:
    svc = service("shop").health("/alive")

    @svc.get("/orders/{order_id}")
    @auth.public
    async def orders(order_id: str) -> None:
        ran()

    @svc.get("/health")
    @auth.require_roles("clerk")
    async def own_health() -> None:
        ran()

    async def raw(request: Request) -> PlainTextResponse:
        ran()

    svc.app.add_route("/orders/mine", auth.require_roles("clerk")(raw), methods=["GET"])
    svc.app.mount("/", auth.require_roles("clerk")(raw_app))
    assert failing(results_of("all", project_of(svc, loop=loop))) == set()


async def raw_app(*_: Any) -> None:
    ran()


def test_what_a_router_guard_lets_through_is_found(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault(*_: Any) -> None: ...

    monkeypatch.setattr(RouterGuard, "_look", fault)
    found = results_of("services", project_of(shop(), loop=loop), only="auth: a call without")
    [one] = found.values()
    assert "PUT /raw/selftest-1 of shop without a token was let through" in one.why


def test_an_endpoint_that_an_earlier_one_hides_is_found(loop: str) -> None:
    svc = service("shop")

    @svc.get("/items/{item_id}")
    async def read_item(item_id: str) -> None: ...

    @svc.get("/items/mine")
    async def read_mine() -> None: ...

    found = results_of("framework", project_of(svc, loop=loop), only="service shop")
    assert failing(found) == {"service shop: reaches each of its endpoints"}
    why = found["service shop: reaches each of its endpoints"].why
    assert "GET /items/mine never reaches 'read_mine', but 'read_item' at /items/{item_id}" in why
    assert "declare 'read_mine' before" in why


def test_a_section_that_does_not_fit_its_model_is_found(loop: str) -> None:
    svc = service("shop").config("limits", Limits)
    settings = {"config": {"limits": {"limit": "many"}}}
    name = "injection: the sections that shop reads fit"
    assert failing(results_of("framework", project_of(svc, loop=loop, settings=settings), only=name)) == {name}
    settings = {"config": {"limits": {"limit": "3"}}}
    assert failing(results_of("framework", project_of(svc, loop=loop, settings=settings), only=name)) == set()


def test_a_document_that_is_no_json_is_found(loop: str) -> None:
    svc = service("shop")

    @svc.get("/items")
    async def items() -> None: ...

    svc.app.openapi = lambda: {"openapi": "3.1.0", "paths": {"/items": {"get": object()}}}  # type: ignore[method-assign]
    found = results_of("framework", project_of(svc, loop=loop), only="service shop: has an OpenAPI")
    assert failing(found) == {"service shop: has an OpenAPI document"}
    svc = service("shop", openapi_url=None)
    found = results_of("framework", project_of(svc, loop=loop), only="service shop: has an OpenAPI")
    assert [one.skipped for one in found.values()] == [True]


def test_seats_of_a_service_are_tried_beside_those_of_the_process(loop: str) -> None:
    svc = service("shop").concurrency(total=2, queue=0)
    found = results_of("framework", project_of(svc, loop=loop), only="priority: a HIGH")
    assert [one.why for one in found.values() if one.skipped] == [
        "with the seats of service 'shop' no HIGH can wait behind a LOW"
    ]


def test_an_existing_app_and_a_controller_pass_too(loop: str) -> None:
    app = FastAPI(lifespan=ran)
    router = APIRouter()

    @router.get("/items/{item_id}")
    async def read_item(item_id: int) -> int:
        ran()

    app.include_router(router, prefix="/v1")

    @app.get("/secret")
    @auth.require_roles("admin")
    async def secret() -> None:
        ran()

    @app.get("/open")
    @auth.public
    async def opened() -> None:
        ran()

    @Controller("/books", version="v2")
    @auth.require_roles("reader")
    class Books:
        def __init__(self) -> None:
            ran()

        @GET("/")
        @Intent(cacheable=True, ttl=60)
        async def books(self) -> list[str]:
            ran()

    classes = service("classes").register_controller(Books)
    adopted = Service.from_fastapi(app, name="legacy")
    found = results_of("all", project_of(classes, adopted, loop=loop))
    assert failing(found) == set()
    assert found["auth: a call without a token is 401"].why == "3 operations of 2 services"
    assert found["service legacy: reaches each of its endpoints"].skipped


def test_the_keys_of_the_project_are_read_and_tried(loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(**said: Any) -> Any:
        project = project_of(loop=loop, root=tmp_path, settings={"auth": said})
        [one] = results_of("services", project, only="auth: the keys").values()
        return one

    (tmp_path / "secret").write_text(secrets.token_urlsafe(48))
    signing = ec.generate_private_key(ec.SECP256R1())
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    (tmp_path / "weak").write_text("short")
    assert (tried(keys=["secret"]).ok, tried(keys=["secret"]).why) == (True, "1 key")
    assert tried(keys=["public.pem#one"]).why == "public keys, which were read; they sign nothing"
    assert tried().skipped
    assert tried(jwks_url="https://issuer.example/jwks", issuer="i", audience="a").skipped
    assert "saw EVX-107" in tried(keys=["weak"]).why
    assert "saw EVX-107" in tried(keys=["nowhere"]).why
    shipped = claims.times
    monkeypatch.setattr(claims, "times", lambda found, now, **how: shipped(found, min(now, found["exp"] - 1), **how))
    assert "an expired one was accepted" in tried(keys=["secret"]).why
