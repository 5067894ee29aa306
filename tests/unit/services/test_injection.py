"""Injection: where `inject(Type)` may stand, how an instance is made, and who shares it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import pytest

from evox import GET, Controller, Service, ServiceBuilder, inject
from evox.errors import NotInjectable
from evox.services import ConfigSection
from evox.testing import running


class Clock:
    """No constructor at all."""


@dataclass
class Repo:
    clock: Clock
    size: int = 7
    name: str | None = None


CLOCK = inject(Clock)
REPO = inject(Repo)


class Books:
    def __init__(
        self,
        repo: Repo,
        settings: Annotated[ConfigSection, inject.config("books")],
        clock: Clock = CLOCK,
        *args: Any,
        limit: int = 3,
        **more: Any,
    ) -> None:
        self.repo, self.settings, self.clock = repo, settings, clock
        self.rest = (args, limit, more)


class Left:
    def __init__(self, right: "Right") -> None: ...


class Right:
    def __init__(self, left: Left) -> None: ...


class Store(ABC):
    @abstractmethod
    def load(self) -> str: ...


class Shelf(Store):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def load(self) -> str:
        return "from the shelf"


class Door(Protocol):
    def open(self) -> None: ...


class NeedsStore:
    def __init__(self, store: Store) -> None: ...


class NeedsText:
    def __init__(self, text: str) -> None: ...


class NeedsAnything:
    def __init__(self, anything) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def make_shelf(clock: Clock) -> Shelf:
    return Shelf(clock)


async def resolved(thing: Any, *, svc: Service | None = None, settings: dict[str, Any] | None = None) -> Any:
    """Return what a running service gives for a type."""
    svc = svc or ServiceBuilder("a")
    async with running(svc, settings=settings) as env:
        return env.service(svc).resolve(thing)


def by_call() -> Callable[..., Any]:
    async def handle() -> bool:
        return type(inject(Repo)) is Repo and inject(Repo) is inject(Repo)

    return handle


def by_default() -> Callable[..., Any]:
    async def handle(repo: Repo = inject(Repo)) -> bool:
        return repo is inject(Repo)

    return handle


def by_metadata() -> Callable[..., Any]:
    async def handle(repo: Annotated[Repo, inject(Repo)]) -> bool:
        return repo is inject(Repo)

    return handle


def by_annotation() -> Callable[..., Any]:
    async def handle(repo: inject(Repo)) -> bool:  # type: ignore[valid-type]
        return bool(repo is inject(Repo))

    return handle


def by_sync_handler() -> Callable[..., Any]:
    def handle(q: int = 0, repo: Repo = REPO, clock: Clock = CLOCK) -> bool:
        return repo is inject(Repo) and repo.clock is clock and q == 0

    return handle


@pytest.mark.parametrize("make", [by_call, by_default, by_metadata, by_annotation, by_sync_handler])
async def test_a_handler_is_given_the_instance(make: Callable[[], Any]) -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(make())
    async with running(svc) as env:
        reply = await env.client(svc).get("/x")
    assert (reply.status_code, reply.json()) == (200, True)


def test_injected_parameters_are_not_documented() -> None:
    svc = ServiceBuilder("a")
    svc.get("/x")(by_sync_handler())
    operation = svc.app.openapi()["paths"]["/x"]["get"]
    assert [one["name"] for one in operation["parameters"]] == ["q"]


async def test_a_constructor_is_filled_all_the_way_down() -> None:
    books: Books = await resolved(Books, settings={"config": {"books": {"shelf": "b"}}})
    assert (type(books.repo), type(books.repo.clock), books.repo.size, books.repo.name) == (Repo, Clock, 7, None)
    assert books.clock is books.repo.clock
    assert books.settings["shelf"] == "b"
    assert books.rest == ((), 3, {})


async def test_a_controller_is_filled_as_any_class() -> None:
    @Controller("/books")
    class Controlled:
        def __init__(self, books: Books, size: int = 2) -> None:
            self.books, self.size = books, size

        @GET("/")
        def read(self) -> list[int]:
            return [self.books.repo.size, self.size]

    async with running(ServiceBuilder("a").register_controller(Controlled)) as env:
        assert (await env.client("a").get("/books")).json() == [7, 2]


@pytest.mark.parametrize(
    "provider",
    [Shelf(Clock()), Shelf, make_shelf, lambda: Shelf(Clock())],
    ids=["instance", "class", "factory", "lambda"],
)
async def test_a_provider_stands_for_a_type(provider: Any) -> None:
    svc = ServiceBuilder("a")
    svc.provide(Store, provider)  # type: ignore[type-abstract]
    async with running(svc) as env:
        store = env.service(svc).resolve(Store)
        assert (type(store), type(store.clock)) == (Shelf, Clock)
        assert env.service(svc).resolve(Store) is store


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Left, "Left -> Right -> Left"),
        (Store, "abstract"),
        (Door, "abstract"),
        (NeedsStore, "Store"),
        (NeedsText, "'text' of NeedsText"),
        (NeedsAnything, "'anything' of NeedsAnything"),
        *((kind, kind.__name__) for kind in (int, float, str, bool, bytes, list, dict, tuple, set, object)),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
async def test_a_type_that_cannot_be_made_is_refused(kind: type, why: str) -> None:
    with pytest.raises(NotInjectable, match=why) as caught:
        await resolved(kind)
    assert "svc.provide" in caught.value.fix


async def test_a_refused_type_can_be_asked_for_again() -> None:
    svc = ServiceBuilder("a")
    async with running(svc) as env:
        for _ in range(2):
            with pytest.raises(NotInjectable, match="Left -> Right -> Left"):
                env.service(svc).resolve(Left)
        assert type(env.service(svc).resolve(Clock)) is Clock


async def test_two_runs_do_not_share() -> None:
    svc = ServiceBuilder("a")
    assert await resolved(Repo, svc=svc) is not await resolved(Repo, svc=svc)


async def test_two_services_of_one_runtime_do_not_share() -> None:
    first, second = ServiceBuilder("first"), ServiceBuilder("second")
    async with running(first, second) as env:
        assert env.service(first).resolve(Repo) is not env.service(second).resolve(Repo)
