"""A6, P11, X3: what a client says in headers that services use among themselves gains nothing, and breaks nothing."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.faults.raw_peer import answer, calling, raw_peer
from tests.hostile.refusals import Ask, Header, send

from evox import Request, ServiceBuilder, context
from evox.auth import Internal, Principal, current, public, require_roles
from evox.core import proxy
from evox.errors import CallError
from evox.testing import Env, running

KEY = "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-internal"
ADA = Principal("user", "ada", frozenset({"user"}), "evox")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
DEADLINES = ("nan", "-1", "inf", "-inf", "1e309", "1e999999", "0x10", "", "9" * 400, "1,2", "soon", "\u0661", "86401")
STATES = ("a=1", "\xff\xfe=1", "a=\x0b", "a=\x01", "a=\x7f", ",,,,", "=" * 500, "x" * 9000)
PARENTS = ("", "00", PARENT.upper(), PARENT + "-x", "ff" + PARENT[2:], PARENT + "," + PARENT, "\x0b", "0" * 5000)


@dataclass(frozen=True)
class Place:
    """Two services, one of them with a port, the other one elsewhere."""

    env: Env
    url: str

    def token(self, operation: str, call: Internal | None = None, audience: str = "front") -> tuple[str, str]:
        tokens = self.env.service("front").authority.internal_tokens()
        assert tokens is not None
        made = tokens.issue(call or Internal("other", ADA), audience=audience, operation=operation)
        return "Authorization", f"Evox-Internal {made}"


def front(*, asks: bool) -> ServiceBuilder:
    svc = ServiceBuilder("front")

    @svc.get("/level", priority="low")
    async def level() -> str:
        seat: Any = context.maybe_seat()
        return f"{seat.level.label} {current().kind} {current().subject}"

    @svc.get("/onward", priority="low")
    async def onward() -> Any:
        return await proxy.back.headers()

    if asks:
        public(level)
        public(onward)

        @svc.get("/role")
        @require_roles("user")
        async def role() -> str:
            return current().subject

    return svc


def back() -> ServiceBuilder:
    svc = ServiceBuilder("back")

    @svc.get("/headers")
    async def headers(request: Request) -> dict[str, str]:
        return dict(request.headers)

    return svc


@asynccontextmanager
async def placed(folder: Path, *, asks: bool, keys: bool = True) -> AsyncIterator[Place]:
    (folder / "internal.key").write_text(KEY, encoding="utf-8")
    settings: dict[str, Any] = {"auth": {"internal_keys": ["internal.key"]}} if keys else {}
    there = back()
    async with running(there, sockets=True, settings=settings, root=folder) as other:
        more = settings | {"peers": {"back": other.url(there)}}
        here = front(asks=asks)
        async with running(here, sockets=True, settings=more, root=folder, declared=[there]) as env:
            yield Place(env, env.url(here))


every = pytest.mark.parametrize("asks", [True, False])


@every
async def test_P11_a_level_is_believed_of_services_alone(tmp_path: Path, *, asks: bool) -> None:
    high = ("x-evox-priority", "high")
    async with placed(tmp_path, asks=asks) as place:
        user = ("Authorization", f"Bearer {place.env.token('ada', roles=['user'])}")
        for headers in ((high,), (high, high), (high, user), (high, ("x-evox-internal", "1"))):
            said = await send(place.url, Ask(headers, target="/level"))
            assert (said.status, said.body.split()[0]) == (200, b'"low'), headers
        said = await send(place.url, Ask((high, place.token("GET /level")), target="/level"))
        assert (said.status, said.body) == (200, b'"high user ada"')
        said = await send(place.url, Ask((("x-evox-priority", "urgent"), place.token("GET /level")), target="/level"))
        assert (said.status, said.body) == (200, b'"low user ada"')


@every
async def test_A6_a_token_that_is_not_for_this_call_gains_nothing(tmp_path: Path, *, asks: bool) -> None:
    high = ("x-evox-priority", "high")
    async with placed(tmp_path, asks=asks) as place:
        user = ("Authorization", f"Bearer {place.env.token('ada', roles=['user'])}")
        good = place.token("GET /level")
        bad: list[tuple[Header, ...]] = [
            (place.token("GET /onward"),),
            (place.token("POST /level"),),
            (place.token("GET /level", audience="back"),),
            (place.token("GET /level/"),),
            (place.token("get /level"),),
            (good, good),
            (good, user),
            (user, good),
            (("Authorization", f"{good[1]}, {user[1]}"),),
            (("Authorization", good[1] + " x"),),
            (("Authorization", user[1].replace("Bearer", "Evox-Internal")),),
            (("Authorization", "Evox-Internal"),),
            (("Authorization", "eVOX-iNTERNAL x.y.z"),),
        ]
        for headers in bad:
            said = await send(place.url, Ask((*headers, high), target="/level"))
            assert said.status == 401, headers
        crossed = ("Authorization", good[1].replace("Evox-Internal", "Bearer"))
        if asks:
            assert (await send(place.url, Ask((crossed,), target="/role"))).status == 401
        said = await send(place.url, Ask((crossed, high), target="/level"))
        assert (said.status, said.body.split()[0]) == (200, b'"low')
        assert (await send(place.url, Ask((good, high), target="/level"))).body == b'"high user ada"'


@every
@pytest.mark.parametrize("after", [59, 66, 3600])
async def test_A6_a_token_ends_after_a_minute(tmp_path: Path, after: int, *, asks: bool) -> None:
    async with placed(tmp_path, asks=asks) as place:
        made = place.token("GET /level")
        tokens: Any = place.env.service("front").authority.internal_tokens()
        clock = tokens._clock
        tokens._clock = lambda: clock() + after
        assert (await send(place.url, Ask((made,), target="/level"))).status == (200 if after < 60 else 401)


async def test_A6_without_keys_a_token_of_a_service_is_none(tmp_path: Path) -> None:
    high = ("x-evox-priority", "high")
    async with placed(tmp_path, asks=True) as place:
        made = place.token("GET /level")
    for asks in (True, False):
        async with placed(tmp_path, asks=asks, keys=False) as place:
            place.env.service("front").authority.mode = "production"
            said = await send(place.url, Ask((made, high), target="/level"))
            assert said.status == 401 or (
                not asks and said.body == b'"low anonymous "'
            )  # types may ask, where it does not


@every
async def test_X3_no_deadline_of_a_client_breaks_or_lengthens_a_call(tmp_path: Path, *, asks: bool) -> None:
    async with placed(tmp_path, asks=asks) as place:
        for value in DEADLINES:
            for copies in (1, 5):
                ask = Ask((("x-evox-deadline", value.encode().decode("latin-1")),) * copies, target="/onward")
                said = await send(place.url, ask)
                assert said.status == 200, value
                given = re.search(rb'"x-evox-deadline":"([^"]*)"', said.body)
                assert given is not None
                assert 0 < float(given[1]) <= 10
        said = await send(place.url, Ask((("x-evox-deadline", "0"),), target="/level"))
        assert said.status == 504
        assert (await send(place.url, Ask((), target="/onward"))).status == 200


@every
async def test_X7_no_trace_of_a_client_breaks_the_calls_of_others(tmp_path: Path, *, asks: bool) -> None:
    """What this server lets in and the client cannot send broke each call, and then the breaker was open for all."""
    async with placed(tmp_path, asks=asks) as place:
        for state in STATES:
            said = await send(place.url, Ask((("traceparent", PARENT), ("tracestate", state)), target="/onward"))
            assert said.status in (200, 400, 431), state
        for parent in PARENTS:
            said = await send(place.url, Ask((("traceparent", parent), ("tracestate", "a=1")), target="/onward"))
            assert said.status in (200, 400, 431), parent
        client = place.env.client("front")
        for raw in (b"a=\x0b", b"a=\x00", b"a=1\r\nx-evil: 1", b" a=1 ", b"\x01"):  # as another server may give them
            scoped = {"headers": [(b"traceparent", PARENT.encode()), (b"tracestate", raw)]}
            assert (await _asked(place, scoped)) == 200, raw
        assert (await client.get("/onward")).status_code == 200


async def _asked(place: Place, scope: dict[str, Any]) -> int:
    """Send a request right to the app, and return its status."""
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    plain: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/onward",
        "raw_path": b"/onward",
        "query_string": b"",
    }
    plain |= {"root_path": "", "scheme": "http", "client": ("10.0.0.9", 1), "server": None, "extensions": {}}
    await place.env.host("front")({"asgi": {"version": "3.0"}, "http_version": "1.1"} | plain | scope, receive, sent)
    return statuses[0]


@every
async def test_A6_nothing_of_a_clients_own_is_handed_on(tmp_path: Path, *, asks: bool) -> None:
    own = ("x-evox-attempts", "x-evox-internal", "idempotency-key", "cookie", "x-forwarded-for", "baggage")
    async with placed(tmp_path, asks=asks) as place:
        said = await send(place.url, Ask(tuple((name, "mine-alone") for name in own), target="/onward"))
        assert (said.status, b"mine-alone" in said.body) == (200, False)


@pytest.mark.parametrize("attempts", ["1", "0", "-1", "9" * 400, "nan", "\xff", "x"])
async def test_X4_what_a_peer_says_of_its_attempts_is_no_more_than_a_word(attempts: str) -> None:
    bad = answer(b"", f"x-evox-attempts: {attempts}", "retry-after: 0", status="503 Service Unavailable")
    async with raw_peer(bad) as peer, calling(peer, proxy={"attempts": 3}):
        with pytest.raises(CallError) as caught:
            await proxy.users.get_user(1)
        assert (caught.value.attempts, len(peer.heads)) == (1, 1)
