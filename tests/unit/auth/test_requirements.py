"""Requirements: what is declared is merged as it is read, in any order, and nothing that means nothing is accepted."""

import gc
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypeVar

import pytest
from pydantic import BaseModel, RootModel
from typing_extensions import TypeAliasType, TypedDict

from evox import GET, Controller, Intent, ServiceBuilder
from evox.auth import (
    ANONYMOUS,
    Clause,
    Principal,
    Requirement,
    protected_types,
    public,
    require_intent,
    require_roles,
    requirement_of,
    requirements_within,
    system,
)
from evox.errors import InvalidDeclaration, NotAllowed, NotAuthenticated

ADMIN = Principal("user", "root", frozenset({"admin"}))
USER = Principal("user", "ada", frozenset({"user"}))
NO_ROLE = Principal("user", "eve")


def required(*decorators: Any) -> Requirement:
    def handler() -> None: ...

    for one in decorators:
        one(handler)
    found = requirement_of(handler)
    assert found is not None
    return found


def test_any_of_the_roles_will_do() -> None:
    requirement = required(require_roles("user", "admin"))
    assert requirement.is_met_by(ADMIN)
    assert requirement.is_met_by(USER)
    assert not requirement.is_met_by(NO_ROLE)


def test_two_on_one_target_must_both_be_met() -> None:
    requirement = required(require_roles("admin"), require_intent("write", required_roles=["user"]))
    both = Principal("user", "both", frozenset({"user", "admin"}))
    assert [requirement.is_met_by(one) for one in (ADMIN, USER, both)] == [False, False, True]


def test_without_roles_everybody_who_is_known_is_let_in() -> None:
    requirement = required(require_intent("read"))
    assert requirement.is_met_by(NO_ROLE)
    with pytest.raises(NotAuthenticated):
        requirement.check(ANONYMOUS, "it")


def test_who_is_known_and_may_not_is_not_asked_for_a_token_again() -> None:
    with pytest.raises(NotAllowed, match="not for this caller"):
        required(require_roles("admin")).check(USER, "it")


def test_the_service_itself_meets_everything() -> None:
    assert required(require_roles("admin")).is_met_by(system("shop"))


@pytest.mark.parametrize("role", ["Admin", "ADMIN", "admin ", "adm\u0456n", "adminx"])
def test_roles_are_compared_as_they_are(role: str) -> None:
    caller = Principal("user", "x", frozenset({role}))
    assert not required(require_roles("admin")).is_met_by(caller)


@pytest.mark.parametrize(
    ("decorate", "why"),
    [
        (require_roles, "nobody could pass"),
        (lambda: require_roles(""), "no role"),
        (lambda: require_roles(" admin"), "no role"),
        (lambda: require_roles("ad\nmin"), "no role"),
        (lambda: require_roles(["admin"]), "no role"),  # type: ignore[arg-type]
        (lambda: require_roles(lambda: None), "no role"),  # type: ignore[arg-type]
        (lambda: require_intent(""), "it is a name"),
        (lambda: require_intent("  "), "it is a name"),
        (lambda: require_intent(lambda: None), "it is a name"),  # type: ignore[arg-type]
        (lambda: require_intent("x", required_roles=[]), "nobody could pass"),
        (lambda: require_intent("x", required_roles="admin"), "list of roles"),
        (lambda: require_intent("x", required_roles=[1]), "no role"),  # type: ignore[list-item]
        (lambda: require_intent("x", required_roles=7), "list of roles"),  # type: ignore[arg-type]
        (lambda: public("admin"), "stands on an endpoint"),
        (lambda: require_roles("admin")(7), "stands on an endpoint"),
    ],
)
def test_what_means_nothing_is_refused_with_the_line(decorate: Any, why: str) -> None:
    with pytest.raises(InvalidDeclaration, match=why) as caught:
        decorate()
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


def test_nothing_is_both_public_and_for_some() -> None:
    with pytest.raises(InvalidDeclaration, match="both public and for some"):
        required(public, require_roles("admin"))
    with pytest.raises(InvalidDeclaration, match="both public and for some"):
        required(require_roles("admin"), public)


def rows(*methods: Any) -> dict[str, Any]:
    """Return what is asked by the methods of a controller that asks for admin."""

    @Controller("/c")
    @require_roles("admin")
    class Own:
        @GET("/silent")
        def silent(self) -> None: ...

        @require_intent("read")
        @GET("/named")
        def named(self) -> None: ...

        @GET("/other")
        @require_roles("user")
        def other(self) -> None: ...

        @public
        @GET("/open")
        def open(self) -> None: ...

    svc = ServiceBuilder("a")
    svc.register_controller(Own)
    return {row.name: row.requirement for row in svc.endpoints}


def test_a_method_says_in_place_of_its_controller_what_it_says_and_no_more() -> None:
    found = rows()
    assert found["silent"] == Requirement((Clause(None, ("admin",)),))
    assert found["named"] == Requirement((Clause("read"), Clause(None, ("admin",))))
    assert found["other"] == Requirement((Clause(None, ("user",)),))
    assert found["open"] == Requirement(public=True)


def test_a_controller_asks_what_its_base_asks() -> None:
    @require_roles("admin")
    class Base:
        @GET("/x")
        def x(self) -> None: ...

    @Controller("/c")
    class Own(Base): ...

    svc = ServiceBuilder("a")
    svc.register_controller(Own)
    assert svc.endpoints[0].requirement == Requirement((Clause(None, ("admin",)),))


def test_decorators_may_stand_above_and_below_the_route_and_beside_others() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/below")
    @require_roles("admin")
    @Intent(cacheable=False)
    def below() -> None: ...

    @require_roles("admin")
    @Intent(cacheable=False)
    @svc.get("/above")
    def above() -> None: ...

    assert len({row.requirement for row in svc.endpoints}) == 1
    assert svc.endpoints[0].requirement is not None


def test_one_that_comes_too_late_is_refused() -> None:
    svc = ServiceBuilder("a")

    @svc.get("/x")
    def handler() -> None: ...

    assert svc.endpoints
    with pytest.raises(RuntimeError, match="comes too late"):
        require_roles("admin")(handler)


@require_roles("admin")
class Secret(BaseModel): ...


class Below(Secret): ...


Renamed = NewType("Renamed", Secret)
Same = Secret


@pytest.mark.parametrize(
    "annotation",
    [Secret, Below, Renamed, Same, list[Secret], dict[str, list[Below]], Secret | None, Annotated[Secret, "x"]],
    ids=str,
)
def test_A7_what_an_annotation_is_made_of_is_asked(annotation: Any) -> None:
    assert requirements_within(annotation) == (Requirement((Clause(None, ("admin",)),)),)


T = TypeVar("T")
Twice = NewType("Twice", Renamed)
Alias = TypeAliasType("Alias", list[Secret])


class Box(BaseModel, Generic[T]):
    content: T


class Rows(RootModel[list[Secret]]):
    pass


class Model(BaseModel):
    inner: dict[str, Secret]


@dataclass
class Record:
    inner: "Secret | None"


class Pair(NamedTuple):
    inner: Secret


class Fields(TypedDict):
    inner: Secret


class Nested(BaseModel):
    record: Record
    again: "Nested | None" = None


@require_roles("admin")
class Shown(BaseModel):
    name: str


@require_roles("user")
class Own(BaseModel):
    shown: Shown


CONTAINERS = [Twice, Alias, list[Alias], Box[Shown], Rows, Model, Record, Pair, Fields, Nested, list[Nested]]


@pytest.mark.parametrize("annotation", CONTAINERS, ids=str)
def test_A7_what_says_nothing_itself_asks_what_it_consists_of(annotation: Any) -> None:
    assert requirements_within(annotation) == (Requirement((Clause(None, ("admin",)),)),)


def test_A7_what_says_something_itself_speaks_for_all_that_is_in_it() -> None:
    assert requirements_within(Own) == (Requirement((Clause(None, ("user",)),)),)


def test_A7_of_several_bases_all_are_asked() -> None:
    @require_roles("user")
    class Other: ...

    @public
    class Open: ...

    class Both(Other, Secret): ...

    class Opened(Open, Secret): ...

    class Free(Open): ...

    assert requirement_of(Both) == Requirement((Clause(None, ("user",)), Clause(None, ("admin",))))
    assert requirement_of(Opened) == Requirement((Clause(None, ("admin",)),))
    assert requirement_of(Free) == Requirement(public=True)


@require_roles("admin")
class Asking(Generic[T]): ...


class Plain(Asking[T]): ...


@require_roles("admin")
class AskingFields(TypedDict):
    name: str


class MoreFields(AskingFields):
    more: str


BELOW = [type("A", (Asking,), {}), Plain, type("B", (Plain,), {}), Asking[int], Plain[int], MoreFields]


@pytest.mark.parametrize("kind", BELOW, ids=["asking", "plain", "below", "asking-of", "plain-of", "fields"])
def test_A7_a_generic_base_and_one_that_is_no_base_at_run_time_are_asked(kind: Any) -> None:
    assert requirements_within(kind) == (Requirement((Clause(None, ("admin",)),)),)


def test_A7_a_class_that_a_decorator_replaces_still_tells_that_types_ask() -> None:
    @dataclass(slots=True)
    @require_roles("admin")
    class Slotted:
        name: str

    gc.collect()
    assert Slotted.__qualname__ in {kind.__qualname__ for kind in protected_types()}
    assert requirements_within(Slotted) == (Requirement((Clause(None, ("admin",)),)),)


@pytest.mark.parametrize("annotation", [int, None, list[int], "Secret", dict[str, Any]], ids=str)
def test_other_types_ask_nothing(annotation: Any) -> None:
    assert requirements_within(annotation) == ()
