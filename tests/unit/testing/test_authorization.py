"""The authorization matrix: what is declared as a table, and tried by requests, so that a difference is found."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from evox import DELETE, GET, POST, Controller, ServiceBuilder
from evox.core import auth
from evox.testing import authorization_matrix, running

TABLE = """\
operation                   (no token)  (no role)  admin  auditor  user  intent
GET /users/{user_id}        -           -          yes    -        yes   user_read
DELETE /users/{user_id}     -           -          yes    -        -     user_write
GET /users                  -           yes        yes    yes      yes   list
POST /users                 -           yes        yes    yes      yes   list
GET /prices                 yes         yes        yes    yes      yes   public
GET /forgotten              -           -          -      -        -
GET /inner                  -           -          -      -        -     other services
GET /both                   -           -          -      -        -
GET /v1/audit               -           -          -      yes      -
POST /v1/audit/{when:path}  -           -          yes    -        -
GET /v1/audit/open          yes         yes        yes    yes      yes   public"""

CALM = """\
operation   (no token)  (no role)  intent
GET /x      yes         yes
GET /open   yes         yes        public
GET /inner  -           -          other services"""


def users() -> ServiceBuilder:
    svc = ServiceBuilder("users")

    @svc.get("/users/{user_id}")
    @auth.require_intent("user_read", required_roles=["user", "admin"])
    async def read(user_id: int) -> int:
        return user_id

    @svc.delete("/users/{user_id}")
    @auth.require_intent("user_write", required_roles=["admin"])
    async def delete(user_id: int) -> int:
        return user_id

    @svc.endpoint("/users", methods=["GET", "POST"])
    @auth.require_intent("list")
    async def listed(body: dict[str, Any] | None = None) -> None: ...

    svc.get("/prices", name="prices")(auth.public(lambda: "prices"))
    svc.get("/forgotten", name="forgotten")(lambda: "forgotten")
    svc.get("/inner", name="inner", private=True)(lambda: "inner")
    svc.get("/both", name="both")(auth.require_roles("user")(auth.require_roles("admin")(lambda: "both")))

    @svc.register_controller
    @Controller("/audit", version="v1")
    @auth.require_roles("auditor")
    class Audit:
        @GET("/")
        async def index(self) -> str:
            return "index"

        @POST("/{when:path}")
        @auth.require_roles("admin")
        async def write(self, when: str, body: dict[str, int]) -> None: ...

        @GET("/open")
        @auth.public
        async def open(self) -> str:
            return "open"

    return svc


def calm() -> ServiceBuilder:
    svc = ServiceBuilder("calm")
    svc.get("/x", name="x")(lambda: "x")
    svc.get("/open", name="open")(auth.public(lambda: "open"))
    svc.get("/inner", name="inner", private=True)(lambda: "inner")
    return svc


def test_the_table_shows_every_operation_and_role() -> None:
    assert str(authorization_matrix(users())) == TABLE


def test_where_nothing_asks_everybody_may() -> None:
    assert str(authorization_matrix(calm())) == CALM


def test_roles_are_those_that_are_named_anywhere_and_operations_all_there_are() -> None:
    matrix = authorization_matrix(users())
    assert matrix.roles == ("(no token)", "(no role)", "admin", "auditor", "user")
    assert [line.partition("  ")[0] for line in TABLE.splitlines()[1:]] == list(matrix.operations)
    assert matrix.operations["GET /v1/audit"].name == "index"


@pytest.mark.parametrize(
    ("role", "operation", "may"),
    [
        ("admin", "DELETE /users/{user_id}", True),
        ("user", "DELETE /users/{user_id}", False),
        ("(no role)", "POST /users", True),
        ("(no token)", "POST /users", False),
        ("(no token)", "GET /prices", True),
        ("admin", "GET /both", False),
        ("admin", "GET /inner", False),
        ("admin", "GET /forgotten", False),
    ],
)
def test_one_cell_can_be_asked(role: str, operation: str, may: bool) -> None:
    assert authorization_matrix(users()).allows(role, operation) is may


def test_what_is_not_there_is_no_cell() -> None:
    matrix = authorization_matrix(users())
    with pytest.raises(KeyError, match="GET /nowhere"):
        matrix.allows("admin", "GET /nowhere")
    with pytest.raises(KeyError, match=r"no operation names the role 'root'; there are: .*admin"):
        matrix.allows("root", "GET /prices")


def test_a_table_can_be_neither_changed_nor_made_old_by_its_service() -> None:
    matrix = authorization_matrix(users())
    with pytest.raises(TypeError):
        matrix.operations["GET /more"] = matrix.operations["GET /prices"]  # type: ignore[index]


@pytest.mark.parametrize("make", [users, calm])
async def test_requests_are_answered_as_the_table_says(make: Any) -> None:
    svc = make()
    async with running(svc) as env:
        assert await authorization_matrix(svc).differences(env) == []


async def test_over_sockets_too() -> None:
    svc = users()
    async with running(svc, sockets=True) as env:
        assert await authorization_matrix(svc).differences(env) == []


async def test_a_route_that_hides_an_endpoint_and_is_for_everybody_is_found() -> None:
    svc = users()

    @auth.public
    async def hides(request: Request) -> PlainTextResponse:
        return PlainTextResponse("for everybody")

    svc.app.router.routes.insert(0, Route("/users/{user_id}", hides, methods=["DELETE"]))
    async with running(svc) as env:
        assert await authorization_matrix(svc).differences(env) == [
            f"DELETE /users/{{user_id}} as {role}: 200, and the matrix says no"
            for role in ("(no token)", "(no role)", "auditor", "user")
        ]


async def test_what_refuses_those_who_may_is_found() -> None:
    svc = users()

    @svc.middleware("http")
    async def refusing(request: Request, call_next: Any) -> Response:
        if request.url.path == "/prices":
            return PlainTextResponse("no", 403)
        answer: Response = await call_next(request)
        return answer

    async with running(svc) as env:
        found = await authorization_matrix(svc).differences(env)
    roles = ("(no token)", "(no role)", "admin", "auditor", "user")
    assert found == [f"GET /prices as {role}: 403, and the matrix says yes" for role in roles]


async def test_the_wrong_refusal_is_found() -> None:
    svc = users()

    @svc.middleware("http")
    async def muddling(request: Request, call_next: Any) -> Response:
        answer: Response = await call_next(request)
        if request.url.path == "/forgotten":
            answer.status_code = 404
        return answer

    async with running(svc) as env:
        found = await authorization_matrix(svc).differences(env)
    assert len(found) == 5
    assert found[0] == "GET /forgotten as (no token): 404, and the matrix says no"


async def test_what_stands_in_placeholders_can_be_given() -> None:
    svc, asked = ServiceBuilder("users"), set[str]()

    @svc.delete("/users/{user_id}/{rest:path}")
    @auth.require_roles("admin")
    async def delete(user_id: str, rest: str) -> None:
        asked.add(f"{user_id} {rest}")

    async with running(svc) as env:
        matrix = authorization_matrix(svc)
        assert await matrix.differences(env) == await matrix.differences(env, user_id="7", rest="a/b") == []
    assert asked == {"1 1", "7 a/b"}


def test_a_role_that_only_a_controller_deletes_by_is_there() -> None:
    @Controller("/c")
    @auth.require_roles("janitor")
    class Own:
        @DELETE("/x")
        def delete(self) -> None: ...

    svc = ServiceBuilder("a")
    svc.register_controller(Own)
    assert authorization_matrix(svc).roles == ("(no token)", "(no role)", "janitor")
