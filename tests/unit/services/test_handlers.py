"""What can be a handler: whatever FastAPI would call, declared in the same way and answering the same."""

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport

from evox import ServiceBuilder
from evox.testing import running


class Greeter:
    def method(self, name: str) -> str:
        """Greet by a method."""
        return f"hello {name}"

    async def async_method(self, name: str) -> str:
        return f"hello {name}"

    @staticmethod
    def static(name: str) -> str:
        return f"hello {name}"

    @classmethod
    async def class_method(cls, name: str) -> str:
        return f"hello {name}"


class Callable_:  # noqa: N801  it is called as a function is
    def __call__(self, name: str) -> str:
        return f"hello {name}"


class AsyncCallable:
    async def __call__(self, name: str) -> str:
        return f"hello {name}"


def sync(name: str) -> str:
    return f"hello {name}"


async def on_loop(name: str) -> str:
    return f"hello {name}"


async def with_greeting(greeting: str, name: str) -> str:
    return f"{greeting} {name}"


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate without a word about whether the function is sync or async."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def awaiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an async function by an async one, or a sync one by an async one."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        return await found if hasattr(found, "__await__") else found

    return wrapper


HANDLERS: dict[str, Callable[..., Any]] = {
    "function": sync,
    "async function": on_loop,
    "lambda": lambda name: f"hello {name}",
    "method": Greeter().method,
    "async method": Greeter().async_method,
    "static method": Greeter.static,
    "class method": Greeter.class_method,
    "callable object": Callable_(),
    "async callable object": AsyncCallable(),
    "partial": functools.partial(with_greeting, "hello"),
    "partial by keyword": functools.partial(with_greeting, greeting="hello"),
    "cached": functools.lru_cache(sync),
    "async wrapper of async": awaiting(on_loop),
    "async wrapper of sync": awaiting(sync),
    "sync wrapper of sync": passing_on(sync),
    "sync wrapper of async": passing_on(on_loop),
}


@pytest.mark.parametrize("kind", HANDLERS)
async def test_it_answers_as_under_fastapi(kind: str) -> None:
    svc, app = ServiceBuilder("a"), FastAPI()
    svc.get("/hello/{name}")(HANDLERS[kind])
    app.get("/hello/{name}")(HANDLERS[kind])
    async with running(svc) as env:
        reply = await env.client(svc).get("/hello/ada")
    async with httpx2.AsyncClient(transport=ASGITransport(app), base_url="http://a") as plain:
        expected = await plain.get("/hello/ada")
    assert (reply.status_code, reply.json()) == (200, "hello ada")
    assert (reply.status_code, reply.json()) == (expected.status_code, expected.json())


@pytest.mark.parametrize("kind", HANDLERS)
def test_it_is_documented_as_under_fastapi(kind: str) -> None:
    svc, app = ServiceBuilder("a"), FastAPI()
    svc.get("/hello/{name}")(HANDLERS[kind])
    app.get("/hello/{name}")(HANDLERS[kind])
    found, expected = (one.openapi()["paths"]["/hello/{name}"]["get"] for one in (svc.app, app))
    assert found == expected


@pytest.mark.parametrize("kind", HANDLERS)
def test_its_name_is_a_word_and_not_an_address(kind: str) -> None:
    svc = ServiceBuilder("a")
    svc.get("/hello/{name}")(HANDLERS[kind])
    assert " at 0x" not in svc.endpoints[0].name


async def numbers(q: int = 2) -> AsyncIterator[int]:
    for number in range(q):
        yield number


def numbers_sync(q: int = 2) -> Iterator[int]:
    yield from range(q)


@pytest.mark.parametrize("handler", [numbers, numbers_sync])
async def test_a_generator_streams_as_under_fastapi(handler: Callable[..., Any]) -> None:
    svc, app = ServiceBuilder("a"), FastAPI()
    svc.get("/numbers")(handler)
    app.get("/numbers")(handler)
    async with running(svc) as env:
        reply = await env.client(svc).get("/numbers?q=3")
    async with httpx2.AsyncClient(transport=ASGITransport(app), base_url="http://a") as plain:
        expected = await plain.get("/numbers?q=3")
    assert (reply.status_code, reply.content) == (200, expected.content)
    assert reply.headers["content-type"] == expected.headers["content-type"]


async def test_a_generator_that_does_not_fit_its_parameters_is_422() -> None:
    svc = ServiceBuilder("a")
    svc.get("/numbers")(numbers)
    async with running(svc) as env:
        assert (await env.client(svc).get("/numbers?q=many")).status_code == 422


async def test_a_sync_handler_runs_in_a_thread_and_an_async_one_does_not() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/sync")
    def in_thread() -> int:
        return threading.get_ident()

    @svc.get("/async")
    async def on_the_loop() -> int:
        return threading.get_ident()

    async with running(svc) as env:
        found = [(await env.client(svc).get(path)).json() for path in ("/sync", "/async")]
    assert [one == threading.get_ident() for one in found] == [False, True]
