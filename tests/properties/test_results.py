"""Whatever JSON a handler returns, with whatever status, its client gets exactly that."""

from collections.abc import Callable
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evox import ServiceBuilder
from evox.testing import running

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
STATUSES = st.integers(200, 599).filter(lambda status: status not in (204, 205, 304))  # those have no content
HEADERS = st.dictionaries(
    st.from_regex(r"x-[a-z0-9]{1,8}", fullmatch=True),
    st.from_regex(r"[!-~]([ -~]{0,8}[!-~])?", fullmatch=True),
    max_size=3,
)
both_loops = pytest.mark.parametrize("backend", ["trio", "asyncio"])
examples = settings(max_examples=50, deadline=None)


def answer(backend: str, handle: Callable[[], Any], *, is_async: bool = True) -> httpx2.Response:
    """Return what a service answers whose one handler returns what ``handle`` does."""
    svc = ServiceBuilder("results")

    async def on_loop() -> Any:
        return handle()

    def in_thread() -> Any:
        return handle()

    svc.get("/x")(on_loop if is_async else in_thread)

    async def main() -> httpx2.Response:
        async with running(svc) as env:
            return await env.client(svc).get("/x")

    return anyio.run(main, backend=backend)


@both_loops
@examples
@given(body=JSON)
def test_a_body_alone_comes_back_as_it_is_with_200(backend: str, body: Any) -> None:
    reply = answer(backend, lambda: body)
    assert (reply.status_code, reply.json()) == (200, body)


@both_loops
@examples
@given(body=JSON, status=STATUSES)
def test_a_body_and_a_status_come_back_as_they_are(backend: str, body: Any, status: int) -> None:
    reply = answer(backend, lambda: (body, status))
    assert (reply.status_code, reply.json()) == (status, body)


@both_loops
@examples
@given(body=JSON, status=STATUSES, headers=HEADERS)
def test_headers_come_back_too(backend: str, body: Any, status: int, headers: dict[str, str]) -> None:
    reply = answer(backend, lambda: (body, status, headers))
    assert (reply.status_code, reply.json()) == (status, body)
    assert {name: reply.headers[name] for name in headers} == headers


@both_loops
@settings(max_examples=20, deadline=None)
@given(body=JSON, status=STATUSES)
def test_a_sync_handler_gives_the_same(backend: str, body: Any, status: int) -> None:
    reply = answer(backend, lambda: (body, status), is_async=False)
    assert (reply.status_code, reply.json()) == (status, body)


@both_loops
@examples
@given(first=JSON, second=JSON.filter(lambda one: not isinstance(one, int) or isinstance(one, bool)))
def test_a_pair_without_a_status_comes_back_as_an_array(backend: str, first: Any, second: Any) -> None:
    reply = answer(backend, lambda: (first, second))
    assert (reply.status_code, reply.json()) == (200, [first, second])
