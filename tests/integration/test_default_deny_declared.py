"""A1: what is declared holds: above and below the route, on controllers, their bases and what they override."""

from collections.abc import Callable
from typing import Any

import pytest

from evox import GET, POST, Controller, Service, ServiceBuilder
from evox.core import auth
from evox.testing import Env, running

ROLES = ("", "user", "admin", "user admin")
admin, user = auth.require_roles("admin"), auth.require_roles("user")


async def let_in(env: Env, service: Service, path: str, method: str = "GET") -> list[str]:
    """Return with which roles callers are let in; ``nobody`` where one without a token is."""
    found = []
    for roles in ROLES:
        reply = await env.client(service, token=env.token("ada", roles=roles.split())).request(method, path)
        assert reply.status_code in (200, 403)
        found += [roles] if reply.status_code == 200 else []
    reply = await env.client(service).request(method, path)
    assert reply.status_code in (200, 401)
    return [*found, *(["nobody"] if reply.status_code == 200 else [])]


def made(kind: type) -> Service:
    svc = ServiceBuilder("made")
    svc.register_controller(kind)
    return svc


WHERE: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "above": (lambda route, function: admin(route(function)), ["admin", "user admin"]),
    "below": (lambda route, function: route(admin(function)), ["admin", "user admin"]),
    "both": (lambda route, function: admin(route(user(function))), ["user admin"]),
    "both, twice": (lambda route, function: admin(user(route(user(admin(function))))), ["user admin"]),
}


@pytest.mark.parametrize(("decorate", "expected"), WHERE.values(), ids=WHERE)
async def test_A1_decorators_hold_above_and_below_the_route(
    decorate: Callable[[Any, Any], Any], expected: list[str]
) -> None:
    svc = ServiceBuilder("a")

    async def function() -> str:
        return "x"

    async def method(self: Any) -> str:
        return "x"

    decorate(svc.get("/x"), function)
    svc.register_controller(Controller("/c")(type("Own", (), {"method": decorate(GET("/x"), method)})))
    async with running(svc) as env:
        assert await let_in(env, svc, "/x") == expected
        assert await let_in(env, svc, "/c/x") == expected


@pytest.mark.parametrize("outer", [0, 1])
async def test_A1_two_on_one_endpoint_must_both_be_met_in_either_order(outer: int) -> None:
    svc, both = ServiceBuilder("a"), (auth.require_intent("write", required_roles=["admin"]), user)

    @both[outer]
    @svc.get("/x")
    @both[1 - outer]
    async def x() -> str:
        return "x"

    async with running(svc) as env:
        assert await let_in(env, svc, "/x") == ["user admin"]


@Controller("/c")
@admin
class Defaults:
    @GET("/silent")
    def silent(self) -> str:
        return "silent"

    @GET("/below")
    @user
    def below(self) -> str:
        return "below"

    @user
    @GET("/above")
    def above(self) -> str:
        return "above"

    @GET("/intent")
    @auth.require_intent("read")
    def intent(self) -> str:
        return "intent"

    @auth.require_intent("write")
    @POST("/intent")
    def intent_above(self) -> str:
        return "intent"

    @GET("/named")
    @auth.require_intent("read", required_roles=["user"])
    def named(self) -> str:
        return "named"

    @auth.public
    @GET("/public")
    def public(self) -> str:
        return "public"


@Controller("/c")
@auth.public
class Open:
    @GET("/silent")
    def silent(self) -> str:
        return "silent"

    @GET("/admin")
    @admin
    def admin(self) -> str:
        return "admin"

    @GET("/intent")
    @auth.require_intent("read")
    def intent(self) -> str:
        return "intent"


EVERYBODY = [*ROLES, "nobody"]
METHODS: list[tuple[type, str, str, list[str]]] = [
    (Defaults, "GET", "/c/silent", ["admin", "user admin"]),
    (Defaults, "GET", "/c/below", ["user", "user admin"]),
    (Defaults, "GET", "/c/above", ["user", "user admin"]),
    (Defaults, "GET", "/c/intent", ["admin", "user admin"]),
    (Defaults, "POST", "/c/intent", ["admin", "user admin"]),
    (Defaults, "GET", "/c/named", ["user", "user admin"]),
    (Defaults, "GET", "/c/public", EVERYBODY),
    (Open, "GET", "/c/silent", EVERYBODY),
    (Open, "GET", "/c/admin", ["admin", "user admin"]),
    (Open, "GET", "/c/intent", list(ROLES)),
]


@pytest.mark.parametrize(("kind", "method", "path", "expected"), METHODS)
async def test_A1_a_method_overrides_its_controller_key_by_key(
    kind: type, method: str, path: str, expected: list[str]
) -> None:
    svc = made(kind)
    async with running(svc) as env:
        assert await let_in(env, svc, path, method) == expected


async def test_A1_an_intent_without_roles_keeps_its_name_beside_the_controllers_roles() -> None:
    rows = {row.name: row.requirement for row in made(Defaults).endpoints}
    for name, intent in (("intent", "read"), ("intent_above", "write")):
        found = rows[name]
        assert found is not None
        assert (found.intent_types, found.roles) == ((intent,), ("admin",))


async def test_A1_controllers_ask_what_their_bases_ask_and_may_ask_something_else() -> None:
    @admin
    class Base:
        @GET("/x")
        def x(self) -> str:
            return "x"

    @Controller("/same")
    class Same(Base): ...

    @Controller("/other")
    @user
    class Other(Base): ...

    @Controller("/open")
    @auth.public
    class Opened(Base): ...

    svc = ServiceBuilder("a")
    for kind in (Same, Other, Opened):
        svc.register_controller(kind)
    async with running(svc) as env:
        assert await let_in(env, svc, "/same/x") == ["admin", "user admin"]
        assert await let_in(env, svc, "/other/x") == ["user", "user admin"]
        assert await let_in(env, svc, "/open/x") == EVERYBODY


class Named:
    @GET("/silent")
    @admin
    def silent(self) -> str:
        return "of the base"

    @GET("/weaker")
    @admin
    def weaker(self) -> str:
        return "of the base"

    @GET("/routed")
    @admin
    def routed(self) -> str:
        return "of the base"

    @GET("/opened")
    @admin
    def opened(self) -> str:
        return "of the base"

    @GET("/intent")
    @auth.require_intent("read", required_roles=["admin"])
    def intent(self) -> str:
        return "of the base"


@Controller("/c")
@user
class Overriding(Named):
    def silent(self) -> str:
        return "overridden"

    @user
    def weaker(self) -> str:
        return "overridden"

    @GET("/routed")
    def routed(self) -> str:
        return "overridden"

    @auth.public
    def opened(self) -> str:
        return "overridden"

    @auth.require_intent("peek")
    def intent(self) -> str:
        return "overridden"


async def test_A1_who_overrides_a_method_and_says_nothing_of_callers_keeps_what_it_asked() -> None:
    """A method that took over the route of its base's lost its roles, and was for everybody."""
    svc = made(Overriding)
    async with running(svc) as env:
        for path in ("/c/silent", "/c/routed", "/c/intent"):
            assert await let_in(env, svc, path) == ["admin", "user admin"], path
        assert await let_in(env, svc, "/c/weaker") == ["user", "user admin"]
        assert await let_in(env, svc, "/c/opened") == EVERYBODY


async def test_A1_what_stands_above_a_static_or_class_method_holds() -> None:
    """It was written on what wraps the function, where nobody looked."""

    @Controller("/c")
    class Own:
        @admin
        @GET("/static")
        @staticmethod
        def of_none() -> str:
            return "static"

        @admin
        @GET("/class")
        @classmethod
        def of_all(cls) -> str:
            return "class"

        @admin
        @staticmethod
        @user
        @GET("/both")
        def both() -> str:
            return "both"

    svc = made(Own)
    async with running(svc) as env:
        assert await let_in(env, svc, "/c/static") == ["admin", "user admin"]
        assert await let_in(env, svc, "/c/class") == ["admin", "user admin"]
        assert await let_in(env, svc, "/c/both") == ["user admin"]


async def test_A1_an_endpoint_of_ours_under_another_path_keeps_what_it_asks() -> None:
    """Only its own route has the steps of the pipeline, and the guard before the router left it to them."""
    svc = ServiceBuilder("a")

    @svc.get("/x")
    @admin
    async def x() -> str:
        return "x"

    svc.get("/open")(auth.public(lambda: "open"))
    for route in [one for one in svc.app.router.routes if getattr(one, "path", "") in ("/x", "/open")]:
        svc.app.add_api_route(f"/v0{route.path}", route.endpoint)  # type: ignore[attr-defined]
    async with running(svc) as env:
        assert await let_in(env, svc, "/v0/x") == ["admin", "user admin"]
        assert await let_in(env, svc, "/v0/open") == EVERYBODY
