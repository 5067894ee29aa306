"""All services under one real port: paths, documents, health, and what belongs to none of them."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.support import Answer, EvoxProcess, HttpSocket, Run

# Both have a model of one name, a handler of one name and a path of one shape: joining must keep them apart.
USERS = """
    from typing import Annotated, Literal

    from pydantic import BaseModel, Field

    from evox import Request, WebSocket, service

    svc = service("user-service").port(8001)


    class Record(BaseModel):
        name: str
        friends: "list[Record]" = []


    @svc.get("/records/{key}")
    async def read(key: str) -> Record:
        return Record(name=key)


    @svc.post("/records")
    async def create(record: Record) -> Record:
        return record


    class Cat(BaseModel):
        kind: Literal["cat"]


    class Dog(BaseModel):
        kind: Literal["dog"]


    @svc.post("/pets")
    async def pet(one: Annotated[Cat | Dog, Field(discriminator="kind")]) -> str:
        return one.kind


    @svc.get("/where", name="where")
    async def where(request: Request) -> dict[str, str]:
        return {"root": request.scope["root_path"], "self": str(request.url_for("where"))}


    @svc.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
"""
ITEMS = """
    from pydantic import BaseModel

    from evox import GET, Controller, service

    svc = service("item-service").port(8001)


    class Record(BaseModel):
        title: str


    @Controller("/records")
    class Records:
        @GET("/{key}")
        async def read(self, key: str) -> Record:
            return Record(title=key)


    svc.register_controller(Records)
"""
ADOPTED = """
    from fastapi import Depends, FastAPI
    from fastapi.security import OAuth2PasswordBearer

    from evox import Service

    app = FastAPI(title="old app")
    scheme = OAuth2PasswordBearer(tokenUrl="token")


    @app.get("/secret")
    async def secret(token: str = Depends(scheme)) -> str:
        return token


    svc = Service.from_fastapi(app, name="old")
"""


def open_gateway(run: Run, backend: str) -> EvoxProcess:
    """Start three services under one port."""
    files = {"users.py": USERS, "items.py": ITEMS, "old.py": ADOPTED}
    process: EvoxProcess = run(
        files,
        *("--gateway", "--port", "0", "--json", "--backend", backend),
        env={"EVOX_SERVING__DRAIN_DELAY": "0s"},
    )
    process.event("started")
    return process


@pytest.fixture
def gateway(shared_run: Run, backend: str) -> EvoxProcess:
    """Return one that tests share: none ends it."""
    return open_gateway(shared_run, backend)


def base(process: EvoxProcess) -> tuple[str, int]:
    return process.address("user-service")


def root(process: EvoxProcess) -> httpx2.Client:
    host, port = base(process)
    return httpx2.Client(base_url=f"http://{host}:{port}", trust_env=False)


def get(process: EvoxProcess, path: str) -> Answer:
    with HttpSocket(base(process)) as connection:
        return connection.get(path)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield key, one
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_banner_tells_one_address_and_each_services_name_below_it(gateway: EvoxProcess) -> None:
    services = {one["name"]: one["url"] for one in gateway.event("started")["services"]}
    host, port = base(gateway)
    assert services == {name: f"http://{host}:{port}/{name}" for name in ("item-service", "old", "user-service")}


def test_each_service_answers_below_its_name(gateway: EvoxProcess) -> None:
    assert get(gateway, "/user-service/records/x").body == b'{"name":"x","friends":[]}'
    assert get(gateway, "/item-service/records/x").body == b'{"title":"x"}'


def test_each_services_docs_are_below_its_name_and_find_their_document(gateway: EvoxProcess) -> None:
    for name in ("user-service", "item-service", "old"):
        docs = get(gateway, f"/{name}/docs")
        assert docs.status == 200
        assert f"/{name}/openapi.json".encode() in docs.body
        assert get(gateway, f"/{name}/openapi.json").status == 200


def test_each_services_document_says_where_the_service_is(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/user-service/openapi.json").json()
    assert document["servers"] == [{"url": "/user-service"}]


def test_the_joined_document_holds_every_operation_under_its_service(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert {
        "/user-service/records/{key}",
        "/user-service/records",
        "/user-service/pets",
        "/user-service/where",
        "/item-service/records/{key}",
        "/old/secret",
    } == set(paths)


def test_every_reference_of_the_joined_document_resolves(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/openapi.json").json()
    references = [value for key, value in walk(document) if key == "$ref"]
    assert references
    for reference in references:
        assert resolve(document, reference)


def test_every_mapping_of_a_discriminator_in_the_joined_document_resolves(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/openapi.json").json()
    mappings = [value for key, value in walk(document) if key == "mapping"]
    assert mappings
    for mapping in mappings:
        for reference in mapping.values():
            assert reference.rpartition("/")[2] in document["components"]["schemas"]


def test_the_joined_document_keeps_models_of_one_name_apart(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/openapi.json").json()

    def fields(service: str) -> set[str]:
        operation = document["paths"][f"/{service}/records/{{key}}"]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        return set(resolve(document, schema["$ref"])["properties"])

    assert (fields("user-service"), fields("item-service")) == ({"name", "friends"}, {"title"})


def test_no_operation_id_is_there_twice(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/openapi.json").json()
    identifiers = [value for key, value in walk(document["paths"]) if key == "operationId"]
    assert len(identifiers) == 6
    assert len(set(identifiers)) == 6


def test_security_requirements_of_the_joined_document_name_schemes_that_are_there(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/openapi.json").json()
    for requirement in document["paths"]["/old/secret"]["get"]["security"]:
        assert set(requirement) <= set(document["components"]["securitySchemes"])


def test_component_names_are_those_that_openapi_allows(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        document = client.get("/openapi.json").json()
    for entries in document["components"].values():
        for name in entries:
            assert name.replace(".", "").replace("-", "").replace("_", "").isalnum()


def test_a_service_knows_its_place_and_links_to_itself_rightly(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        answer = client.get("/user-service/where").json()
        assert answer["root"] == "/user-service"
        assert client.get(answer["self"]).status_code == 200


def test_the_gateways_own_docs_and_health_answer(gateway: EvoxProcess) -> None:
    with root(gateway) as client:
        assert "/openapi.json" in client.get("/docs").text
        answers = [client.get(f"/health{kind}") for kind in ("", "/live", "/ready", "/startup")]
        assert client.get("/health/other").status_code == 404
    for health in answers:
        assert (health.status_code, health.json()["status"]) == (200, "pass")
        assert set(health.json()["checks"]) == {"user-service", "item-service", "old"}


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/startup"])
def test_each_services_probes_are_below_its_name(gateway: EvoxProcess, path: str) -> None:
    assert get(gateway, f"/user-service{path}").status == 200


def test_a_path_of_no_service_is_404_and_names_those_that_are(gateway: EvoxProcess) -> None:
    answer = get(gateway, "/nobody/records/x")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert b"/user-service" in answer.body


def test_a_name_that_only_begins_like_a_services_is_404(gateway: EvoxProcess) -> None:
    assert get(gateway, "/user-service-2/records/x").status == 404


@pytest.mark.usefixtures("http1")
def test_V3_the_gateway_drains_cleanly(evox_run: Run, backend: str) -> None:
    gateway = open_gateway(evox_run, backend)
    assert gateway.end() == 0
    assert gateway.err == ""
