"""D6, A6: what is kept for one caller is given to no other when the calls come from the proxy."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import pytest
from pydantic import BaseModel

from evox import Depends, Intent, Request, Response, ServiceBuilder
from evox.core import auth, data_intent, data_io, proxy
from evox.errors import CallDenied
from evox.testing import acting_as, spread

CALLERS = ("ada", "bob", None, "ada", "bob", None)
Where = Literal["in-process", "loopback"]
F = TypeVar("F", bound=Callable[..., Any])
both = pytest.mark.parametrize("where", ["in-process", "loopback"])


def name() -> str:
    return auth.current().subject


def says_yes() -> bool:
    return True


def _as_it_is(handler: F) -> F:
    return handler


def callee(*, asks: bool) -> ServiceBuilder:
    svc = ServiceBuilder("callee")
    open_to: Callable[[F], F] = auth.public if asks else _as_it_is

    @svc.get("/plain", cache=60)
    @open_to
    async def plain() -> str:
        return name()

    @svc.get("/onward", cache=60)
    @open_to
    async def onward() -> Any:
        return await proxy.last.subject()

    @svc.get("/depends", cache=60)
    @Intent(vary_on=["who"])
    @open_to
    async def depends(who: Annotated[str, Depends(name)]) -> str:
        return who

    @svc.get("/guarded", cache=60)
    @Intent(vary_on=["yes"])
    @open_to
    async def guarded(yes: Annotated[bool, Depends(says_yes)]) -> str:
        return name()

    @svc.post("/once", idempotency="1h")
    @open_to
    async def once() -> str:
        return name()

    if asks:

        @svc.get("/roles", cache=60)
        @auth.require_intent("read")
        async def roles() -> str:
            return name()

        @svc.get("/admin", cache=60)
        @auth.require_roles("admin")
        async def admin() -> str:
            return name()

    return svc


def last() -> ServiceBuilder:
    svc = ServiceBuilder("last")

    @svc.get("/subject", cache=60)
    async def subject() -> str:
        return name()

    return svc


@both
@pytest.mark.parametrize(
    ("operation", "asks"),
    [(one, asks) for asks in (True, False) for one in ("plain", "depends", "guarded", "once")] + [("roles", True)],
)
async def test_D6_an_answer_is_for_the_user_for_whom_it_was_made(where: Where, operation: str, *, asks: bool) -> None:
    """Within one process, where nobody asked, the answer that was made for one user was given to all others."""
    asker = ServiceBuilder("asker")
    async with spread(where, asker, callee(asks=asks), last()):
        for subject in CALLERS:
            with acting_as(subject):
                call = getattr(proxy.callee, operation)()
                assert await (call.with_key("k") if operation == "once" else call) == (subject or "asker")


@both
@pytest.mark.parametrize("asks", [True, False])
async def test_D6_what_was_got_on_behalf_of_one_user_is_kept_for_that_one(where: Where, *, asks: bool) -> None:
    asker = ServiceBuilder("asker")
    async with spread(where, asker, callee(asks=asks), last()):
        for subject in CALLERS:
            with acting_as(subject):
                assert await proxy.callee.onward() == (subject or "callee")


@both
async def test_D6_a_kept_answer_lets_nobody_in(where: Where) -> None:
    asker = ServiceBuilder("asker")
    async with spread(where, asker, callee(asks=True)):
        with acting_as("ada", roles=["admin"]):
            assert await proxy.callee.admin() == "ada"
        for subject in ("ada", "bob", None):
            with acting_as(subject), pytest.raises(CallDenied):
                await proxy.callee.admin()


async def test_D6_an_answer_for_a_service_is_not_one_for_the_public() -> None:
    svc = callee(asks=False)
    async with spread("in-process", ServiceBuilder("asker"), svc) as env:
        with acting_as("ada"):
            assert await proxy.callee.plain() == "ada"
        answer = await env.client(svc).get("/plain")
        assert (answer.json(), answer.headers["cache-status"]) == ("", "evox; fwd=uri-miss; stored")
        assert await proxy.callee.plain() == "asker"


@both
async def test_D6_one_user_gets_the_kept_answer_over_both_ways(where: Where) -> None:
    """A token is another one for each call: as a part of the key it kept all answers and found none."""
    svc, made = ServiceBuilder("counter"), 0

    @svc.get("/count", cache=60)
    async def count() -> int:
        nonlocal made
        made += 1
        return made

    async with spread(where, ServiceBuilder("asker"), svc):
        with acting_as("ada"):
            assert [await proxy.counter.count() for _ in range(3)] == [1, 1, 1]


@both
async def test_A7_a_type_with_a_requirement_asks_for_the_user_of_each_call(where: Where) -> None:
    @auth.require_roles("doctor")
    @data_intent.cacheable(ttl="1h")
    class Record(BaseModel):
        id: str

    svc = ServiceBuilder("records")

    async def load() -> Record:
        return Record(id="1")

    @svc.get("/record")
    @auth.public
    async def record() -> Any:
        found = await data_io.read(Record, "1", loader=load)
        return found and found.id

    async with spread(where, ServiceBuilder("asker"), svc):
        for _ in range(2):
            with acting_as("dora", roles=["doctor"]):
                assert await proxy.records.record() == "1"
            for subject, roles in (("ada", ["user"]), (None, ["doctor"])):
                with acting_as(subject, roles=roles), pytest.raises(CallDenied):
                    await proxy.records.record()


@both
async def test_A6_a_cookie_that_one_call_was_given_is_not_sent_with_another(where: Where) -> None:
    """The client of a peer kept the session of one user, and sent it on behalf of everybody."""
    svc = ServiceBuilder("sessions")

    @svc.post("/login")
    async def login(response: Response) -> str:
        response.set_cookie("session", name())
        return name()

    @svc.get("/session")
    async def session(request: Request) -> dict[str, str]:
        return dict(request.cookies)

    async with spread(where, ServiceBuilder("asker"), svc):
        with acting_as("ada"):
            assert await proxy.sessions.login() == "ada"
            assert await proxy.sessions.session() == {}
        assert await proxy.sessions.session() == {}
