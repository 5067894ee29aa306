"""The pipeline: steps run in the one order, and only where they apply; a private endpoint is for internal callers."""

from collections.abc import Callable
from typing import Any

import pytest

from evox import GET, Controller, Service, ServiceBuilder
from evox.auth import Internal
from evox.errors import NotAllowed
from evox.services import Call
from evox.services.endpoint import Endpoint
from evox.services.pipeline import Position, compile_pipeline
from evox.services.steps import STEPS
from evox.testing import running


class Recording:
    """A step that notes when it is entered and left."""

    def __init__(self, position: Position, notes: list[str], *, applies: bool = True) -> None:
        self.position, self._notes, self._applies = position, notes, applies

    def applies(self, endpoint: Endpoint) -> bool:
        return self._applies

    def compile(self, endpoint: Endpoint, then: Callable[..., Any]) -> Any:
        self._notes.append(f"compile {self.position.name}")

        async def run(*args: Any) -> Any:
            self._notes.append(f"+{self.position.name}")
            answer = await then(*args)
            self._notes.append(f"-{self.position.name}")
            return answer

        return run


def row(**options: Any) -> Endpoint:
    svc = ServiceBuilder("a")
    svc.get("/x", **options)(lambda: "x")
    return svc.endpoints[0]


async def invoke(call: Call | None, arguments: dict[str, Any]) -> str:
    return "invoked"


async def test_steps_run_in_the_order_of_their_positions_whatever_order_they_were_given_in() -> None:
    notes: list[str] = []
    steps = [Recording(position, notes) for position in reversed(Position)]
    pipeline = compile_pipeline(row(), steps, invoke)
    assert pipeline.steps == tuple(Position)

    async def answer(call: Call) -> Any:
        return await pipeline.inner(call, {})

    run = pipeline.outer(answer)
    notes.clear()
    assert await run(Call(row(), "http", "a", "GET")) == "invoked"
    names = [position.name for position in Position]
    assert notes == [f"+{name}" for name in names] + [f"-{name}" for name in reversed(names)]


async def test_outer_steps_run_before_the_body_is_read_and_inner_ones_with_arguments() -> None:
    notes: list[str] = []
    pipeline = compile_pipeline(row(), [Recording(position, notes) for position in Position], invoke)
    notes.clear()
    assert await pipeline.inner(None, {}) == "invoked"
    assert notes == ["+FILL", "+DEADLINE", "+INVOKE", "-INVOKE", "-DEADLINE", "-FILL"]


async def test_a_step_that_does_not_apply_costs_nothing() -> None:
    notes: list[str] = []
    steps = [Recording(position, notes, applies=position is Position.GUARD) for position in Position]
    pipeline = compile_pipeline(row(), steps, invoke)
    assert pipeline.steps == (Position.GUARD,)
    assert pipeline.inner is invoke
    pipeline.outer(invoke)  # type: ignore[arg-type]
    assert notes == ["compile GUARD"]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, ()),
        ({"tags": ["t"], "status_code": 201}, ()),
        ({"private": False}, ()),
        ({"private": True}, ()),
    ],
)
def test_an_endpoint_pays_only_for_what_it_declares(options: dict[str, Any], steps: tuple[Position, ...]) -> None:
    for_all = {Position.CONTEXT, Position.GUARD, Position.ADMIT, Position.DEADLINE}
    assert tuple(one for one in compile_pipeline(row(**options), STEPS, invoke).steps if one not in for_all) == steps


def private() -> Service:
    svc = ServiceBuilder("a")

    @svc.endpoint("/private", methods=["GET", "POST"], private=True)
    async def never(body: dict[str, int]) -> None:
        raise AssertionError("it was called")

    @svc.register_controller
    @Controller("/items", private=True)
    class Items:
        @GET("/secret")
        def secret(self) -> None:
            raise AssertionError("it was called")

        @GET("/open", private=False)
        def open(self) -> str:
            return "open"

    return svc


@pytest.mark.parametrize(("method", "path"), [("GET", "/private"), ("POST", "/private"), ("GET", "/items/secret")])
async def test_a_private_endpoint_refuses_callers_from_outside_before_it_reads_anything(method: str, path: str) -> None:
    async with running(private()) as env:
        content = b"{" if method == "POST" else None
        reply = await env.client("a").request(method, path, content=content)
    assert (reply.status_code, reply.headers["content-type"]) == (403, "application/problem+json")
    assert reply.json() == {"type": "about:blank", "title": "Forbidden", "status": 403}


async def test_a_private_endpoint_is_absent_from_the_document() -> None:
    assert list(private().app.openapi()["paths"]) == ["/items/open"]


async def test_a_private_endpoint_answers_internal_callers() -> None:
    pipeline = compile_pipeline(row(private=True), STEPS, invoke)

    async def answer(call: Call) -> str:
        return "answered"

    run = pipeline.outer(answer)
    async with running(private()):
        assert await run(Call(row(), "internal", "a", "GET", internal=Internal("b"))) == "answered"
        with pytest.raises(NotAllowed):
            await run(Call(row(), "http", "a", "GET"))
