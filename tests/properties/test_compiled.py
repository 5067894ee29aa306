"""Compiled endpoints answer as FastAPI does, to the byte: whatever is declared and whatever is sent.

Endpoints are made by a grammar, once for a service and once for an app of FastAPI, and both are asked the same. What
the handlers are called with is compared too, and so are the OpenAPI documents.
"""

import importlib
import logging
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from tests.properties.compiled_endpoints import Endpoint
from tests.properties.compiled_grammar import endpoints
from tests.properties.compiled_requests import requests
from tests.twins import COMPILED, Sent, call, ran_compiled, twins, watched

from evox import Service
from evox.services.route import EvoxRoute
from evox.testing import running

SOAK = bool(os.environ.get("EVOX_SOAK"))
EXAMPLES = 2000 if SOAK else 50
DRAWN, LEAST = 200, 0.8
# A default that is no JSON is left out of OpenAPI, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
unbounded = settings(deadline=None, suppress_health_check=[*HealthCheck], database=None, derandomize=not SOAK)
# To make a failure simpler takes minutes.
phases = [Phase.generate, Phase.shrink] if SOAK else [Phase.generate]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let nothing be logged of the many handlers that fail."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def check(endpoint: Endpoint, sent: list[Sent]) -> list[bool]:
    """Ask both for all, hold them to the same, and return which requests took the compiled path."""
    here: list[Any] = []
    there: list[Any] = []

    def declare(app: Any) -> None:
        ours = not isinstance(app, FastAPI)
        endpoint.on(app, here if ours else there, ours=ours)

    async with twins(declare) as both:
        assert both.service.app.openapi() == both.theirs.openapi()
        for one in sent:
            await both.same(one)
            assert here == there, f"the handlers were called with something else by {one}"
    if COMPILED:
        assert set(both.compiled) <= {endpoint.compiled}
    return both.compiled


@pytest.mark.timeout(600 if SOAK else 20)
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_compiled_endpoint_answers_as_fastapi_does(backend: str) -> None:
    @settings(unbounded, max_examples=EXAMPLES, phases=phases)
    @given(st.data())
    def same(data: st.DataObject) -> None:
        endpoint = data.draw(endpoints())
        note(repr(endpoint))
        sent = data.draw(st.lists(requests(endpoint), min_size=4, max_size=8))
        anyio.run(check, endpoint, sent, backend=backend)

    same()


def drawn() -> list[Endpoint]:
    """Return the same endpoints each time."""
    found: list[Endpoint] = []

    @seed(0)
    @settings(unbounded, max_examples=DRAWN, phases=[Phase.generate], derandomize=False)
    @given(endpoints())
    def draw(endpoint: Endpoint) -> None:
        found.append(endpoint)

    draw()
    return found


def simply(endpoint: Endpoint) -> Sent:
    """Return a request that reaches an endpoint, whatever it says of it."""
    path = f"/c{endpoint.path}" if endpoint.controller else endpoint.path
    return Sent(endpoint.method, quote(re.sub(r"\{[^}]*\}", "5", path)).encode())


def test_most_endpoints_take_the_compiled_path() -> None:
    made = drawn()
    assert len(made) >= DRAWN
    assert sum(one.compiled for one in made) >= LEAST * len(made)
    paths: list[bool] = []
    for endpoint in made if SOAK else made[::4]:
        took = anyio.run(check, endpoint, [simply(endpoint)])
        assert len(took) == 1, endpoint
        paths += took
    if COMPILED:
        assert sum(paths) >= LEAST * len(paths)


def services_of(example: str) -> list[Service]:
    module = importlib.import_module(f"examples.{example}")
    return [one for one in vars(module).values() if isinstance(one, Service) and one.belongs_to(vars(module))]


@pytest.mark.parametrize(
    "example",
    [
        "basic_user_svc.service",
        "advanced_items_svc.service",
        "storage_demo_svc.service",
        "secured_orders_svc.service",
        "two_services.users",
        "two_services.orders",
    ],
)
async def test_what_the_examples_do_takes_the_compiled_path(example: str) -> None:
    for service in services_of(example):
        with watched():
            async with running(service) as env:
                token = env.token("ada", roles=["customer", "clerk"])
                headers = ((b"content-type", b"application/json"), (b"authorization", f"Bearer {token}".encode()))
                routes = [one for one in service.app.routes if isinstance(one, EvoxRoute)]
                assert routes
                for route in routes:
                    path = route.path_format.replace("{", "").replace("}", "")
                    sent = Sent(min(route.methods or ()), path.encode(), headers, (b"{}",))
                    scope = sent.scope()
                    got = await call(env.host(service), sent, scope)
                    assert got.status not in (0, 405), route
                    is_plain = route.row.idempotency is None  # an answer that is kept by key is kept as it was sent
                    assert ran_compiled(scope) is (COMPILED and is_plain), route
