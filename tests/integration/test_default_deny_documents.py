"""A1: health is for everybody, documents in development and where auth.docs says so, and the gateway holds to it."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.support import EvoxProcess, HttpSocket, Run

from evox import Service, ServiceBuilder
from evox.auth import Authority, Mode
from evox.config import AuthSettings
from evox.core import auth
from evox.testing import Env, running

DOCUMENTS = ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"]
NOBODY, PUBLIC = [401, 403, 403, 401], [200] * 4
SECRET = "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-tokens"
admin = auth.require_roles("admin")


async def answers(env: Env, service: Service, path: str, method: str = "GET") -> list[int]:
    """Return the statuses for no token, an admin's, a user's and a bad one."""
    given = (None, env.token("root", roles=["admin"]), env.token("ada", roles=["user"]), "no.good.token")
    return [(await env.client(service, token=token).request(method, path)).status_code for token in given]


def asking(**options: Any) -> ServiceBuilder:
    svc = ServiceBuilder("a", **options)
    svc.get("/asks", name="asks")(auth.require_intent("look", required_roles=["admin"])(lambda: "asks"))
    svc.get("/open", name="open")(auth.public(lambda: "open"))
    svc.get("/silent", name="silent")(lambda: "silent")
    return svc


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize(
    ("mode", "docs", "expected"),
    [
        ("test", False, PUBLIC),
        ("development", False, PUBLIC),
        ("production", False, NOBODY),
        ("production", True, PUBLIC),
    ],
)
async def test_A1_documents_are_for_everybody_in_development_or_if_they_are_said_to_be(
    path: str, mode: Mode, docs: bool, expected: list[int]
) -> None:
    svc = asking()
    async with running(svc, settings={"auth": {"docs": docs}}) as env:
        env.service(svc).authority.mode = mode
        assert await answers(env, svc, path) == expected


async def test_A1_where_documents_were_moved_they_are_known_by_what_they_are() -> None:
    svc = asking(docs_url="/manual", openapi_url="/spec.json", redoc_url=None)
    svc.app.router.routes.append(Route("/docs", page))
    svc.app.router.routes.append(Route("/redoc", page))
    async with running(svc, settings={"auth": {"docs": True}}) as env:
        for path in ("/manual", "/spec.json"):
            assert await answers(env, svc, path) == PUBLIC
        for path in ("/docs", "/redoc"):  # somebody else's now
            assert await answers(env, svc, path) == NOBODY
        env.service(svc).authority.mode = "production"
        assert await answers(env, svc, "/spec.json") == PUBLIC


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("a page")


async def test_A1_the_documents_of_a_mounted_app_are_guarded_with_it() -> None:
    svc = asking()
    svc.app.mount("/closed", FastAPI())
    svc.app.mount("/opened", auth.public(FastAPI()))
    async with running(svc, settings={"auth": {"docs": True}}) as env:
        for path in DOCUMENTS:
            assert await answers(env, svc, f"/closed{path}") == NOBODY
            assert await answers(env, svc, f"/opened{path}") == PUBLIC


async def test_where_nothing_asks_documents_are_for_everybody_in_production_too() -> None:
    svc = ServiceBuilder("calm")
    svc.get("/x")(lambda: "x")
    async with running(svc, asking()) as env:
        env.service(svc).authority.mode = "production"
        for path in DOCUMENTS:
            assert await answers(env, svc, path) == PUBLIC


def test_the_document_says_whom_operations_are_for() -> None:
    document = asking().app.openapi()
    asks, opened = document["paths"]["/asks"]["get"], document["paths"]["/open"]["get"]
    assert asks["security"] == [{"bearerAuth": ["admin"]}]
    assert asks["x-evox-intent"] == ["look"]
    assert {"401", "403"} <= set(asks["responses"])
    assert opened["security"] == []
    assert document["components"]["securitySchemes"]["bearerAuth"]["scheme"] == "bearer"


@pytest.mark.parametrize("below", ["", "/live", "/ready", "/startup"])
@pytest.mark.parametrize("base", ["/health", "/status"])
async def test_A1_health_is_for_everybody_wherever_it_is(base: str, below: str) -> None:
    svc = asking().health(base)
    svc.app.router.routes.append(Route(f"{base}/more", page))
    async with running(svc) as env:
        assert await answers(env, svc, base + below) == PUBLIC
        assert await answers(env, svc, base + below, "HEAD") == PUBLIC
        assert await answers(env, svc, base + below, "POST") == [405] * 4
        assert await answers(env, svc, f"{base}/more") == NOBODY


async def test_A1_health_of_an_existing_app_is_for_everybody_unless_it_has_its_own() -> None:
    app = FastAPI()
    app.get("/asks")(admin(lambda: "asks"))
    app.get("/health/live")(lambda: "its own")
    svc = Service.from_fastapi(app, name="old")
    async with running(svc) as env:
        for path in ("/health", "/health/ready", "/health/startup"):
            assert await answers(env, svc, path) == PUBLIC
        assert await answers(env, svc, "/health/live") == NOBODY


SPELLINGS = [
    "//asking/silent",
    "/asking//silent",
    "/asking/silent/",
    "/calm/../asking/silent",
    "/calm/%2e%2e/asking/silent",
    "/calm/..%2fasking/silent",
    "/asking/open/../silent",
    "/asking/./silent",
    "/ASKING/silent",
    "/asking%2fsilent",
    "/%61sking/silent",
    "/asking/%73ilent",
    "/asking/asking/silent",
]
ASKING = """
    from evox import service
    from evox.core import auth

    svc = service("asking")


    @svc.get("/asks")
    @auth.require_roles("admin")
    async def asks() -> str:
        return "asks"


    @svc.get("/open")
    @auth.public
    async def opened() -> str:
        return auth.current().subject


    @svc.get("/silent")
    async def silent() -> str:
        return "silent"
"""
CALM = """
    from evox import service

    svc = service("calm")


    @svc.get("/silent")
    async def silent() -> str:
        return "silent"
"""


def gateway(evox_run: Run, backend: str, *, docs: bool) -> EvoxProcess:
    files = {"asking.py": ASKING, "calm.py": CALM, "key.txt": SECRET}
    files["evox.toml"] = f'[auth]\nkeys = ["key.txt"]\ndocs = {"true" if docs else "false"}\n'
    process = evox_run(files, "--gateway", "--port", "0", "--json", "--backend", backend)
    process.event("started")
    return process


def token(folder: Path, *roles: str) -> str:
    return Authority(AuthSettings(keys=("key.txt",)), folder).issue("ada", roles=roles)


def client(process: EvoxProcess, *roles: str) -> httpx2.Client:
    host, port = process.address("asking")
    headers = {"authorization": f"Bearer {token(process.folder, *roles)}"} if roles else {}
    return httpx2.Client(base_url=f"http://{host}:{port}", headers=headers, trust_env=False)


def test_A1_the_gateway_of_a_production_run_shows_no_document_of_a_service_that_asks(
    evox_run: Run, backend: str
) -> None:
    process = gateway(evox_run, backend, docs=False)
    with client(process) as nobody, client(process, "admin") as root:
        for path in DOCUMENTS:
            assert nobody.get(f"/asking{path}").status_code == 401
            assert root.get(f"/asking{path}").status_code == 403
            assert nobody.get(f"/calm{path}").status_code == 200
        assert set(nobody.get("/openapi.json").json()["paths"]) == {"/calm/silent"}
        assert set(root.get("/openapi.json").json()["paths"]) == {"/calm/silent"}


def test_A1_it_shows_them_with_docs_and_names_their_scheme(evox_run: Run, backend: str) -> None:
    process = gateway(evox_run, backend, docs=True)
    with client(process) as nobody:
        assert nobody.get("/asking/docs").status_code == 200
        document = nobody.get("/openapi.json").json()
    assert set(document["paths"]) == {"/asking/asks", "/asking/open", "/asking/silent", "/calm/silent"}
    assert document["paths"]["/asking/asks"]["get"]["security"] == [{"asking.bearerAuth": ["admin"]}]
    assert set(document["components"]["securitySchemes"]) == {"asking.bearerAuth"}


def test_A1_below_the_gateway_each_service_lets_in_whom_it_says(evox_run: Run, backend: str) -> None:
    process = gateway(evox_run, backend, docs=False)
    expected = {
        "/asking/asks": (401, 403, 200),
        "/asking/open": (200, 200, 200),
        "/asking/silent": (401, 403, 403),
        "/asking/silent?x=/asking/open": (401, 403, 403),
        "/asking/health": (200, 200, 200),
        "/calm/silent": (200, 200, 200),
        "/health": (200, 200, 200),
    }
    with client(process) as nobody, client(process, "user") as ada, client(process, "admin") as root:
        for path, statuses in expected.items():
            assert tuple(one.get(path).status_code for one in (nobody, ada, root)) == statuses, path
    for target in SPELLINGS:
        with HttpSocket(process.address("asking")) as connection:
            connection.send(target)
            assert connection.answer().status in (307, 400, 401, 404), target
