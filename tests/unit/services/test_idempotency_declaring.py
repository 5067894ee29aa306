"""``idempotency=`` as an option: what it accepts, where it may stand, what the document says, and what it costs."""

from datetime import timedelta
from typing import Annotated, Any

import pytest

from evox import DELETE, GET, POST, Controller, Header, Service, ServiceBuilder
from evox.errors import InvalidDeclaration
from evox.services.operations import operations_of
from evox.services.pipeline import Position, compile_pipeline
from evox.services.steps import STEPS


def service_with(methods: list[str], **options: Any) -> Service:
    svc = ServiceBuilder("a")
    svc.endpoint("/x", methods=methods, **options)(lambda: "x")
    return svc


@pytest.mark.parametrize(
    ("given", "expected"), [("24h", 86_400.0), (90, 90.0), (timedelta(minutes=1), 60.0), (None, None)]
)
def test_X9_the_option_is_a_duration(given: Any, expected: float | None) -> None:
    assert service_with(["POST"], idempotency=given).endpoints[0].idempotency == expected


@pytest.mark.parametrize("given", [0, -1, "soon", True, []])
def test_X9_what_is_no_duration_is_refused_with_the_line(given: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="idempotency") as refused:
        service_with(["POST"], idempotency=given)
    assert refused.value.place is not None


@pytest.mark.parametrize("methods", [["GET"], ["HEAD"], ["GET", "HEAD"], ["OPTIONS"]])
def test_X9_an_endpoint_that_changes_nothing_has_nothing_to_repeat(methods: list[str]) -> None:
    with pytest.raises(InvalidDeclaration, match=f"{' and '.join(methods)} changes nothing"):
        _ = service_with(methods, idempotency="24h").endpoints


def test_X9_a_controllers_default_holds_for_its_methods_that_change_something() -> None:
    svc = ServiceBuilder("a")

    @svc.register_controller
    @Controller("/items", idempotency="1h")
    class Items:
        @GET("/")
        def all_items(self) -> None: ...

        @POST("/")
        def add(self) -> None: ...

        @DELETE("/{number}", idempotency=None)
        def remove(self, number: int) -> None: ...

        @POST("/orders", idempotency=5)
        def order(self) -> None: ...

    assert {row.name: row.idempotency for row in svc.endpoints} == {
        "all_items": None,
        "add": 3600.0,
        "remove": None,
        "order": 5.0,
    }


def test_X9_a_method_of_a_controller_that_changes_nothing_is_refused_as_a_function_is() -> None:
    svc = ServiceBuilder("a")

    @svc.register_controller
    @Controller("/items")
    class Items:
        @GET("/", idempotency="1h")
        def all_items(self) -> None: ...

    with pytest.raises(InvalidDeclaration, match="GET changes nothing"):
        _ = svc.endpoints


def test_X9_endpoints_without_the_option_have_no_further_step() -> None:
    async def invoke(*_: Any) -> None: ...

    def steps(**options: Any) -> tuple[Position, ...]:
        return compile_pipeline(service_with(["POST"], **options).endpoints[0], STEPS, invoke).steps

    plain, keyed = list(steps()), list(steps(idempotency=1))
    for position in (Position.CACHED_ANSWER, Position.INVOKE):
        assert position not in plain
        keyed.remove(position)
    assert keyed == plain


def test_X9_the_document_shows_the_header_and_what_may_come_of_it() -> None:
    svc = ServiceBuilder("a")

    @svc.endpoint("/x/{number}", methods=["GET", "PUT"], idempotency="1h")
    def both(number: int) -> None: ...

    @svc.post("/own", idempotency="1h", responses={409: {"description": "mine"}, 422: {"description": "mine too"}})
    def own(idempotency_key: Annotated[str | None, Header()] = None) -> None: ...

    @svc.post("/plain")
    def plain(number: int) -> None: ...

    for _ in range(2):  # it is made once, and added to each time
        paths = svc.app.openapi()["paths"]
        put = paths["/x/{number}"]["put"]
        (header,) = [one for one in put["parameters"] if one["in"] == "header"]
        assert (header["name"], header["required"]) == ("Idempotency-Key", False)
        assert header["schema"] == {"type": "string", "minLength": 1, "maxLength": 255}
        assert {"200", "400", "409", "422"} == set(put["responses"])
        assert set(put["responses"]["422"]["content"]) == {"application/json", "application/problem+json"}
        assert "409" not in paths["/x/{number}"]["get"]["responses"]
        assert [one["in"] for one in paths["/x/{number}"]["get"]["parameters"]] == ["path"]
        mine = paths["/own"]["post"]
        assert [one["name"] for one in mine["parameters"]] == ["idempotency-key"]
        assert [mine["responses"][status]["description"] for status in ("409", "422")] == ["mine", "mine too"]
        assert "409" not in paths["/plain"]["post"]["responses"]


def test_X9_callers_learn_of_each_method_whether_it_takes_keys() -> None:
    svc = service_with(["GET", "POST"], idempotency="1h")
    assert {one.method: one.keyed for one in operations_of("a", svc.app)} == {"GET": False, "POST": True}
