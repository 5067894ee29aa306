"""OpenAPI says who may call: the scheme, the roles and the refusals, of endpoints in both syntaxes and of routes."""

from typing import Any

from fastapi import APIRouter, FastAPI

from evox import Service, ServiceBuilder
from evox.core import auth
from evox.services.openapi import SCHEME


def described() -> dict[str, Any]:
    svc = ServiceBuilder("shop")

    @svc.endpoint("/items/{item_id}", methods=["GET", "DELETE"])
    @auth.require_intent("item", required_roles=["user", "admin"])
    def item(item_id: int) -> int:
        return item_id

    @svc.get("/known")
    @auth.require_intent("known")
    def known() -> None: ...

    @svc.get("/open")
    @auth.public
    def open_() -> None: ...

    @svc.get("/own", openapi_extra={"security": [{"mine": []}]}, responses={401: {"description": "mine"}})
    @auth.require_roles("admin")
    def own() -> None: ...

    @svc.get("/hidden", private=True)
    @auth.require_roles("admin")
    def hidden() -> None: ...

    router = APIRouter(prefix="/raw")

    @router.post("/x")
    @auth.require_roles("admin")
    def raw() -> None: ...

    svc.include_router(router)
    return svc.app.openapi()


def test_operations_say_which_roles_they_want() -> None:
    paths = described()["paths"]
    for method in ("get", "delete"):
        operation = paths["/items/{item_id}"][method]
        assert operation["security"] == [{SCHEME: ["user", "admin"]}]
        assert operation["x-evox-intent"] == ["item"]
        assert {"401", "403", "422"} <= set(operation["responses"])
    assert paths["/known"]["get"]["security"] == [{SCHEME: []}]
    assert paths["/open"]["get"]["security"] == []
    assert "401" not in paths["/open"]["get"]["responses"]
    assert paths["/raw/x"]["post"]["security"] == [{SCHEME: ["admin"]}]
    assert "/hidden" not in paths


def test_what_an_endpoint_says_itself_stays() -> None:
    operation = described()["paths"]["/own"]["get"]
    assert operation["security"] == [{"mine": []}]
    assert operation["responses"]["401"]["description"] == "mine"


def test_the_scheme_is_named_so_that_the_pages_can_authorise() -> None:
    schemes = described()["components"]["securitySchemes"]
    assert schemes == {SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}


def test_an_existing_app_says_it_too_and_is_the_same_without_a_declaration() -> None:
    app = FastAPI()
    app.get("/x")(auth.require_roles("admin")(lambda: None))
    plain = FastAPI()
    plain.get("/x")(lambda: None)
    before = plain.openapi()
    Service.from_fastapi(app, name="a")
    Service.from_fastapi(plain, name="b")
    assert app.openapi()["paths"]["/x"]["get"]["security"] == [{SCHEME: ["admin"]}]
    assert plain.openapi() == before
    assert "components" not in before
