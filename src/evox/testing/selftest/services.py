"""Group services: whether callers are refused as declared, and whether old answers are served as declared.

Services of the project are looked at from their door (see ``doors``); beside them a probe, so that something is asked
and kept whatever the project declares.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Final

from evox.auth import Authority, Key, public, require_intent, require_roles
from evox.auth.issuing import Issuer
from evox.errors import CannotIssue, TokenRefused
from evox.services import Service, ServiceBuilder
from evox.testing.selftest.asked import Asked, asked_of
from evox.testing.selftest.doors import THROUGH, Door, at_door
from evox.testing.selftest.fallback import fallback_checks
from evox.testing.selftest.project import Check, Project, limit_of
from evox.testing.selftest.results import Failed, Skipped, counted

__all__ = ["services_checks"]

ROLE: Final = "evox-selftest"  # which nobody has
FIX: Final = "see what stands before its guard, such as a route added to svc.app; else report it: Evox is at fault"
_Try = Callable[[Door, Asked], Awaitable[bool]]


def services_checks(project: Project) -> Iterator[Check]:
    """Yield what must hold of the services."""
    tries: list[tuple[str, _Try]] = [
        ("a call without a token is 401", _without_token),
        ("a token without the roles is 403", _without_roles),
        ("a token with the roles is let through", _with_roles),
    ]
    for name, attempt in tries:
        yield Check("services", f"auth: {name}", partial(_of_all, project, attempt), limit=limit_of(*project.services))
    for name, bad in (("a forged token", _forged), ("an expired token", _expired), ("a foreign token", _foreign)):
        yield Check("services", f"auth: {name} is refused", partial(_refused, project, name, bad))
    yield Check("services", "auth: the keys of the project sign and verify", partial(_own_keys, project))
    yield from fallback_checks(project)


def _probe() -> Service:
    probe = ServiceBuilder("selftest-auth")

    @probe.get("/open")
    @public
    async def read_open() -> None: ...

    @probe.get("/known")
    @require_intent("thing_read")
    async def read_known() -> None: ...

    @probe.put("/things/{number}")
    @require_intent("thing_write", required_roles=["clerk", "admin"])
    async def write_thing(number: int) -> None: ...

    @probe.delete("/things/{number}")
    @require_roles("admin")
    async def drop_thing(number: int) -> None: ...

    @probe.get("/undeclared")
    async def undeclared() -> None: ...

    @probe.post("/private", private=True)
    async def private() -> None: ...

    return probe


async def _of_all(project: Project, attempt: _Try) -> str:
    loaded, tried, of = project.apart(), 0, 0
    for service in (_probe(), *project.services):
        async with at_door(service, loaded) as door:
            found = sum([await attempt(door, one) for one in asked_of(service)])
        if service in project.services:
            tried, of = tried + found, of + (found > 0)
    if not tried:
        return "no operation of the project; a probe was tried"
    return f"{counted(tried, 'operation')} of {counted(of, 'service')}"


async def _status(door: Door, one: Asked, token: str | None) -> int:
    if not one.raw and door.reaches_others(one.method, one.path):  # and what answers may be let in and do something
        seen = f"{one} of {door.service.name} is answered by something that was added to its app"
        raise Failed(seen, "its endpoint", "add to svc.app after the endpoints, or under another path")
    return (await door.send(one.method, one.path, token, raw=one.raw)).status_code


async def _without_token(door: Door, one: Asked) -> bool:
    if one.nobody not in (401, 403):
        return False
    _expect(await _status(door, one, None), one.nobody, f"{one} of {door.service.name} without a token")
    return True


async def _without_roles(door: Door, one: Asked) -> bool:
    if one.anybody != 403:
        return False
    _expect(await _status(door, one, door.token(ROLE)), 403, f"{one} of {door.service.name} with no role that it names")
    return True


async def _with_roles(door: Door, one: Asked) -> bool:
    if one.roles is None or one.nobody not in (401, 403):
        return False
    seen = await _status(door, one, door.token(*one.roles))
    if seen in (401, 403):
        _expect(seen, 200, f"{one} of {door.service.name} with the roles {', '.join(one.roles) or '(none)'}")
    return True


def _expect(seen: int, expected: int, what: str) -> None:
    if seen != expected:
        shown = "let through" if seen == THROUGH else f"answered with {seen}"
        raise Failed(f"{what} was {shown}", str(expected) if expected != 200 else "let through", FIX)


async def _refused(project: Project, name: str, bad: Callable[[Door, Sequence[str]], str]) -> None:
    for service in (_probe(), *project.services):
        one = next((one for one in asked_of(service) if one.roles is not None and one.nobody == 401), None)
        if one is None:
            continue
        async with at_door(service, project.apart()) as door:
            roles = one.roles or ()
            seen = await _status(door, one, bad(door, roles))
            _expect(seen, 401, f"{one} of {service.name} with {name}")


def _forged(door: Door, roles: Sequence[str]) -> str:
    """Return a token whose signature is another one."""
    signed, _, signature = door.token(*roles).rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def _expired(door: Door, roles: Sequence[str]) -> str:
    """Return a token whose time is over."""
    token = door.token(*roles)
    door.now += door.lifetime + 1
    return token


def _foreign(door: Door, roles: Sequence[str]) -> str:
    """Return a token that is in order but for its key, which is another one of the same name."""
    door.token()  # the key that is known is made when it is first used
    auth = door.scope.loaded.settings.auth
    key = Key.generate(kid="test")
    made = Issuer(
        lambda: key,
        issuer=auth.issuer or "evox",
        audience=auth.audience or "evox",
        clock=lambda: door.now,
        roles_claim=auth.roles_claim,
        max_lifetime=auth.max_lifetime,
    )
    return made.issue("selftest", roles=roles, ttl=door.lifetime)


async def _own_keys(project: Project) -> str:
    """Try the keys that the configuration names: what they sign is believed, and nothing else is."""
    loaded = project.loaded
    auth = loaded.settings.auth
    if auth.jwks_url is not None:
        raise Skipped("they are another issuer's: auth.jwks_url")
    if not auth.keys:
        raise Skipped("auth.keys names none")
    now = 1_800_000_000.0
    authority = Authority(auth, loaded.root, clock=lambda: now)
    authority.open(["the self-test"])
    try:
        token = authority.issue("selftest", roles=[ROLE], ttl=min(60.0, auth.max_lifetime))
    except CannotIssue:
        return "public keys, which were read; they sign nothing"
    await _identify(authority, token)
    signed, _, signature = token.rpartition(".")
    for name, bad, after in (
        ("a forged one", f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}", 0.0),
        ("an expired one", token, 61.0),
    ):
        now += after
        try:
            await _identify(authority, bad)
        except TokenRefused:
            continue
        raise Failed(f"{name} was accepted", "that it is refused", FIX)
    return counted(len(authority.statistics().keys), "key")


async def _identify(authority: Authority, token: str) -> None:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    await authority.identify(headers, service="selftest", operation=None, optional=False, spawn=None)
