"""A 405 tells all methods that the path answers (RFC 9110, section 15.5.6), however many handlers that takes."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from evox import DELETE, GET, Controller, Service, service
from evox.testing import running


async def allowed(svc: Service, path: str, method: str = "TRACE") -> str:
    async with running(svc) as env:
        reply = await env.client(svc).request(method, path)
        assert (reply.status_code, reply.json()) == (405, {"detail": "Method Not Allowed"})
        found: str = reply.headers["allow"]
        return found


async def test_a_405_tells_the_methods_of_all_handlers_of_the_path_and_of_no_other() -> None:
    svc = service("several")

    @svc.get("/items/{item_id}")
    async def read(item_id: int) -> int:
        return item_id

    @svc.put("/items/{name}")
    async def write(name: str) -> str:
        return name

    @svc.post("/items")
    async def create() -> None: ...

    assert await allowed(svc, "/items/7") == "GET, PUT"
    assert await allowed(svc, "/items") == "POST"


async def test_a_405_tells_all_methods_of_one_handler_that_has_several() -> None:
    svc = service("one")

    @svc.endpoint("/items", methods=["PUT", "GET", "DELETE"])
    async def anything() -> None: ...

    assert await allowed(svc, "/items") == "DELETE, GET, PUT"


async def test_a_405_tells_the_methods_of_a_controller_with_and_without_the_slash_at_the_end() -> None:
    svc = service("classes")

    @Controller("/items")
    class Items:
        @GET("/")
        async def read(self) -> None: ...

        @DELETE("/")
        async def clear(self) -> None: ...

    svc.register_controller(Items)
    assert await allowed(svc, "/items") == "DELETE, GET"
    assert await allowed(svc, "/items/") == "DELETE, GET"


async def test_a_405_tells_of_raw_routes_on_the_path_too() -> None:
    svc = service("raw")

    @svc.put("/items")
    async def write() -> None: ...

    async def raw(request: Request) -> PlainTextResponse:
        return PlainTextResponse("raw")

    svc.app.router.routes.append(Route("/items", raw, methods=["DELETE"]))
    assert await allowed(svc, "/items") == "DELETE, PUT"


async def test_a_405_of_a_service_below_another_app_tells_the_methods_of_the_service() -> None:
    inner = service("inner")

    @inner.get("/items")
    async def read() -> None: ...

    @inner.put("/items")
    async def write() -> None: ...

    outer = FastAPI()
    outer.mount("/below", inner.app)
    included = FastAPI()
    included.include_router(inner.app.router, prefix="/within")
    assert await allowed(Service.from_fastapi(outer, name="outer"), "/below/items") == "GET, PUT"
    assert await allowed(Service.from_fastapi(included, name="included"), "/within/items") == "GET"  # as in FastAPI
