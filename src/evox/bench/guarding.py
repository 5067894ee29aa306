"""Guarding: what it costs to know who calls: a token beside PyJWT, and a whole request beside one of which nobody asks.

See ``rounds`` for how it is timed.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.types import Options
from starlette.types import ASGIApp, Message, Scope

from evox import ServiceBuilder
from evox.auth import Key, TokenVerifier, public, require_roles
from evox.auth.issuing import Issuer
from evox.bench.rounds import interleaved
from evox.services import Service
from evox.serving import Client
from evox.testing import running

__all__ = ["CALLS", "PLAIN", "ROUNDS", "TARGET", "Answer", "Verified", "requests", "verifying"]

TARGET: Final = 120.0  # microseconds that asking for a role may add to a request, at most
CALLS: Final = 20
ROUNDS: Final = 400
ISSUER: Final = "https://login.example"
AUDIENCE: Final = "bench"
ALGORITHMS: Final = ("HS256", "ES256", "EdDSA", "RS256")
PLAIN: Final = "nothing asks"
REQUIRED: Final[Options] = {"require": ["exp", "iat", "iss", "sub", "aud"]}


@dataclass(frozen=True, slots=True)
class Verified:
    """Microseconds to verify one token; ``ratio`` is to PyJWT's, for the same token and claims."""

    algorithm: str
    evox: float
    pyjwt: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Microseconds of one request from the door of its service to its answer.

    Attributes:
        name: What was asked for, and by whom.
        status: How it was answered.
        microseconds: All of it.
        more: How many of those the same request takes less where nothing asks.
        decodes: Those, in decodings of an HS256 token by PyJWT.
    """

    name: str
    status: int
    microseconds: float
    more: float
    decodes: float


class _Token:
    """One token, and both ways to verify it."""

    def __init__(self, algorithm: str) -> None:
        key = Key.generate(algorithm)
        jwk = key.secret_jwk() if key.kind == "oct" else key.public_jwk()
        self._token = Issuer(lambda: key, issuer=ISSUER, audience=AUDIENCE).issue("ada", roles=["admin", "user"])
        self._algorithms, self._key = [algorithm], jwt.PyJWK(jwk).key
        self._verifier = TokenVerifier(key, issuer=ISSUER, audience=AUDIENCE)

    async def by_evox(self) -> None:
        self._verifier.verify(self._token)

    async def by_pyjwt(self) -> None:
        jwt.decode(
            self._token,
            self._key,
            algorithms=self._algorithms,
            audience=AUDIENCE,
            issuer=ISSUER,
            options=REQUIRED,
        )


async def verifying(*, calls: int = CALLS, rounds: int = ROUNDS) -> list[Verified]:
    """Measure one token of each algorithm beside PyJWT.

    Args:
        calls: Verifications timed together.
        rounds: How often, of which the median counts.
    """
    found = []
    for algorithm in ALGORITHMS:
        token = _Token(algorithm)
        taken = await interleaved({"evox": token.by_evox, "pyjwt": token.by_pyjwt}, calls, rounds)
        ratios = [ours / theirs for ours, theirs in zip(taken["evox"], taken["pyjwt"], strict=True)]
        evox, pyjwt = (1e6 * statistics.median(taken[name]) for name in ("evox", "pyjwt"))
        found.append(Verified(algorithm, evox, pyjwt, statistics.median(ratios)))
    return found


async def requests(*, calls: int = CALLS, rounds: int = ROUNDS) -> list[Answer]:
    """Measure whole requests in the current loop, without sockets: accepted, refused, and where nobody is asked.

    Args:
        calls: Requests timed together.
        rounds: How often, of which the median counts.
    """
    plain, asking = _services()
    async with running(plain, asking) as env:
        good = env.token("ada", roles=["admin", "user"])
        asked, door = env.host(asking), env.host(plain)
        sent = {
            PLAIN: _Request(door, "/items/7", good),
            "public, no token": _Request(asked, "/prices/7", None),
            "public, a good token": _Request(asked, "/prices/7", good),
            "a role, a good token": _Request(asked, "/items/7", good),
            "a role, a bad signature": _Request(asked, "/items/7", _forged(good)),
            "a role, no token": _Request(asked, "/items/7", None),
        }
        decode = _Token("HS256").by_pyjwt
        taken = await interleaved({"decode": decode, **{name: one.send for name, one in sent.items()}}, calls, rounds)
    return [_answer(name, one.status, taken) for name, one in sent.items()]


def _answer(name: str, status: int, taken: Mapping[str, list[float]]) -> Answer:
    more = [own - base for own, base in zip(taken[name], taken[PLAIN], strict=True)]
    decodes = [one / decode for one, decode in zip(more, taken["decode"], strict=True)]
    median = statistics.median
    return Answer(name, status, 1e6 * median(taken[name]), 1e6 * median(more), median(decodes))


def _services() -> tuple[Service, Service]:
    """Make the same endpoint twice: where nothing asks, and for a role beside one that is public."""
    plain, asking = ServiceBuilder("bench-plain"), ServiceBuilder("bench-asking")

    @plain.get("/items/{item_id}")
    async def read_item(item_id: int) -> dict[str, Any]:
        return {"item_id": item_id, "name": f"item {item_id}"}

    @asking.get("/items/{item_id}")
    @require_roles("admin")
    async def read_own_item(item_id: int) -> dict[str, Any]:
        return {"item_id": item_id, "name": f"item {item_id}"}

    @asking.get("/prices/{item_id}")
    @public
    async def read_price(item_id: int) -> dict[str, Any]:
        return {"item_id": item_id, "name": f"item {item_id}"}

    return plain, asking


def _forged(token: str) -> str:
    """Return a token with another signature, written as one is."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


class _Request:
    """One request, sent straight to the door that stands behind the sockets."""

    def __init__(self, door: ASGIApp, path: str, token: str | None) -> None:
        self._door, self._path = door, path
        self._headers = [(b"host", b"bench"), (b"accept", b"*/*")]
        if token is not None:
            self._headers.append((b"authorization", f"Bearer {token}".encode()))
        self.status = 0

    async def send(self) -> None:
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": self._headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
        }
        Client().enter(scope)
        await self._door(scope, _receive, self._answered)

    async def _answered(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
