"""Compiled endpoints among other routes: which one answers, and where, is what it was.

Each test declares the same on a service and on FastAPI's app, and asks both.
"""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from tests.integration.compiled_crud import PATHS, OddError, app_of, ask_all, crud
from tests.twins import Sent, Twins, twins

from evox import Service, ServiceBuilder
from evox.testing import running


@pytest.mark.parametrize("redirects", [True, False])
async def test_a_slash_too_many_or_too_few_is_redirected_where_the_app_says_so(redirects: bool) -> None:
    def declare(target: FastAPI) -> None:
        crud(target)

        @target.get("/with/")
        async def slashed() -> str:
            return "with"

    async with twins(declare, redirect_slashes=redirects) as both:
        for path in ("/items/1/", "/with", "/with/", "/items/1/?q=ab", "//items/1", "/items//1", "/"):
            assert (await both.get(path)).status in ((200, 307, 404) if redirects else (200, 404))
        await both.post("/items/")
        for app in (both.service.app, both.theirs):
            app.router.redirect_slashes = not redirects
        assert (await both.get("/with")).status == (404 if redirects else 307)
        both.held()


def sub_app() -> FastAPI:
    sub = FastAPI()

    @sub.get("/{anything:path}")
    async def anything(anything: str, request: Request) -> str:
        return f"sub {anything} {request.scope['root_path']}"

    return sub


def raw(text: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{text} {request.path_params}")

    return answer


def mounts(target: FastAPI) -> None:
    app_of(target).mount("/items", sub_app())


def routes(target: FastAPI) -> None:
    app_of(target).router.add_route("/items/{name}", raw("route"), methods=["GET", "DELETE"])


def catches_all(target: FastAPI) -> None:
    app_of(target).router.add_route("/{rest:path}", raw("all"))


def routers(target: FastAPI) -> None:
    router = APIRouter(prefix="/items")

    @router.get("/{name}")
    async def of_router(name: str) -> str:
        return f"router {name}"

    @router.delete("/{name}")
    async def taken_away(name: str) -> None: ...

    target.include_router(router)


@pytest.mark.parametrize("other", [mounts, routes, catches_all, routers])
@pytest.mark.parametrize("first", ["ours", "other"])
async def test_what_is_declared_first_answers(other: Callable[[Any], None], first: str) -> None:
    order = (crud, other) if first == "ours" else (other, crud)
    async with twins(*order) as both:
        for path in (*PATHS, "/items", "/items/", "/items/1/2"):
            await both.get(path)
        for method in ("HEAD", "POST", "PUT"):
            await both.post("/items/7", b'{"name": "a"}', method=method)
            await both.post("/items", b'{"name": "a"}', method=method)


def special(target: FastAPI) -> None:
    @target.get("/items/special")
    async def of_special() -> str:
        return "special"


@pytest.mark.parametrize("order", [(crud, special), (special, crud)])
async def test_of_two_endpoints_that_fit_the_first_answers(order: tuple[Any, ...]) -> None:
    async with twins(*order) as both:
        got = await both.get("/items/special")
        assert got.status == (200 if order[0] is special else 422)
        await ask_all(both)


async def test_converters_choose_between_endpoints() -> None:
    def declare(target: FastAPI) -> None:
        for kind in ("int", "float", "uuid", "path"):

            @target.get(f"/by/{{value:{kind}}}", name=kind)
            async def of_kind(value: str, kind: str = kind) -> list[str]:
                return [value, kind]

    async with twins(declare) as both:
        for value in ("5", "5.5", "01", "-1", "x", "a/b", "", "00000000-0000-0000-0000-000000000000", "%2F", "5/"):
            await both.get(f"/by/{value}")
        both.held()


async def test_an_error_of_a_converter_is_answered_as_any_other() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/by/{value:int}")
        async def by(value: int) -> int:
            return value

        @target.exception_handler(Exception)
        async def handle(request: Request, error: Exception) -> PlainTextResponse:
            return PlainTextResponse(f"{type(error).__name__} at {request.url.path:.4}", 599)

    async with twins(declare) as both:
        assert (await both.get(f"/by/{'9' * 5000}")).body == b"ValueError at /by/"  # more digits than Python reads
        assert (await both.get("/by/5")).status == 200
        both.held()


@pytest.mark.parametrize("path", ["/items/{item_id}", "/later"])
async def test_a_route_that_the_running_app_is_given_later_stands_after_the_others(path: str) -> None:
    async def later(item_id: str = "none") -> str:
        return f"later {item_id}"

    async with twins(crud) as both:
        await both.get("/later")
        for app in (both.service.app, both.theirs):
            app.add_api_route(path, later, methods=["GET", "DELETE"])
        await both.get("/later")
        await both.get("/items/5")
        for app in (both.service.app, both.theirs):
            app.router.routes.insert(0, app.router.routes.pop())
        await both.get("/later")
        await both.get("/items/5")


async def test_a_route_that_is_taken_out_of_the_running_app_answers_no_more() -> None:
    async with twins(crud) as both:
        assert (await both.get("/items/1")).status == 200
        for app in (both.service.app, both.theirs):
            gone = next(one for one in app.router.routes if getattr(one, "name", "") == "read")
            app.router.routes.remove(gone)
        assert (await both.get("/items/1")).status == 405


async def test_methods_that_nobody_declared_are_refused() -> None:
    def declare(target: FastAPI) -> None:
        @target.get("/one/{number}")
        async def one(number: int) -> int:
            return number

        @target.api_route("/head", methods=["HEAD"]) if isinstance(target, FastAPI) else target.head("/head")
        async def head() -> str:
            return "head"

        @(
            target.api_route("/options", methods=["OPTIONS"])
            if isinstance(target, FastAPI)
            else target.options("/options")
        )
        async def options() -> str:
            return "options"

    async with twins(declare) as both:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "TRACE", "BREW", "get", ""):
            for path in (b"/one/5", b"/one/x", b"/head", b"/options", b"/none"):
                got = await both.same(Sent(method, path))
                assert (b"allow" in got.said) is (got.status == 405)
        both.held()


@pytest.mark.parametrize("root", ["/api", "/api/", "/items"])
async def test_a_root_path_is_taken_off(root: str) -> None:
    async with twins(crud) as both:
        for path in (b"/api/items/1", b"/items/1", b"/api/items/x", b"/items/items/1", b"/items/1/", b"/api/items/1/"):
            await both.same(Sent("GET", path, root_path=root))
        both.held()


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize(
    "options",
    [
        {"root_path": "/api"},
        {"strict_content_type": False},
        {"default_response_class": JSONResponse},
        {"default_response_class": PlainTextResponse},
        {"responses": {418: {"description": "teapot"}}},
        {"dependencies": [Depends(lambda q: None)]},
        {"max_body_size": 12},
        {"debug": True},
        {"generate_unique_id_function": lambda route: f"own_{route.name}"},
        {"separate_input_output_schemas": False},
        {"exception_handlers": {OddError: lambda request, error: PlainTextResponse("odd", 418)}},
    ],
    ids=lambda value: next(iter(value)),
)
async def test_an_option_of_the_app_means_the_same(options: dict[str, Any]) -> None:
    fails = ("/items/418", "/items/500") if "debug" in options else ()  # its page shows the stack, which is ours
    async with twins(crud, **options) as both:
        assert both.service.app.openapi() == both.theirs.openapi()
        for path in set(PATHS).difference(fails):
            await both.get(path)
        for body in (b'{"name": "a"}', b"{", b"", b'{"name": 5}'):
            await both.post("/items", body)
            await both.same(Sent("POST", b"/items", (), (body[:2], body[2:])))


async def test_a_service_that_was_an_app_answers_as_it_did() -> None:
    router = APIRouter(prefix="/v1", dependencies=[Depends(lambda: None)])
    crud(router)
    app, alone = FastAPI(), FastAPI()
    for one in (app, alone):
        one.include_router(router, prefix="/api", tags=["t"])
        crud(one)
    svc = Service.from_fastapi(app, name="adopted")
    async with running(svc) as env:
        both = Twins(svc, env.host(svc), alone)
        for prefix in ("", "/api/v1", "/v1"):
            for path in PATHS:
                await both.get(prefix + path)
            await both.post(f"{prefix}/items", b'{"name": "a"}')


async def test_a_service_within_an_app_answers_there_and_by_itself() -> None:
    svc = ServiceBuilder("inner")
    declared: Any = svc
    crud(declared)
    theirs, outer, beside = FastAPI(title="inner"), FastAPI(), FastAPI()
    crud(theirs)
    outer.mount("/in", svc.app)
    beside.mount("/in", theirs)
    whole = Service.from_fastapi(outer, name="outer")
    async with running(whole, svc) as env:
        both = Twins(svc, env.host(whole), beside)
        for path in PATHS:
            await both.get(f"/in{path}")
        both = Twins(svc, env.host(svc), theirs)
        for path in PATHS:
            await both.get(path)
