"""Syntaxes: a service is the same whichever way it is written, and many methods on one path stay apart."""

from typing import Any, Final

from evox.service_proxy import Handle
from evox.services import GET, PUT, Controller, Method, Service, ServiceBuilder
from evox.testing.harness import running
from evox.testing.selftest.results import Failed

__all__ = ["both_syntaxes", "many_methods", "many_methods_by_proxy"]

FIX: Final = "this is a fault of Evox itself: install it anew, or report it with this line"
_SAID: Final = {"priority": "high", "cache": 60, "tags": ["things"]}
_METHODS: Final = ("GET", "PUT", "DELETE")


@Controller("/things", tags=["things"], priority="high")
class Things:
    """The same endpoints as those of ``_functions``."""

    @GET("/{number}", cache=60)
    async def read_thing(self, number: int, verbose: bool = False) -> dict[str, Any]:
        """Return a thing."""
        return {"number": number, "verbose": verbose}

    @PUT("/{number}")
    async def write_thing(self, number: int, thing: dict[str, Any]) -> Any:
        """Say that one was made."""
        return {"number": number, **thing}, 201


def _classes() -> Service:
    return ServiceBuilder("selftest-classes").register_controller(Things)


def _functions() -> Service:
    probe = ServiceBuilder("selftest-functions")

    @probe.get("/things/{number}", **_SAID)
    async def read_thing(number: int, verbose: bool = False) -> dict[str, Any]:
        """Return a thing."""
        return {"number": number, "verbose": verbose}

    @probe.put("/things/{number}", priority="high", tags=["things"])
    async def write_thing(number: int, thing: dict[str, Any]) -> Any:
        """Say that one was made."""
        return {"number": number, **thing}, 201

    return probe


async def both_syntaxes() -> None:
    """Compare the endpoints that both ways of writing give, and their answers.

    Raises:
        Failed: if they differ.
    """
    made = _functions(), _classes()
    for one, other in zip(made[0].endpoints, made[1].endpoints, strict=True):
        if one != other:
            raise Failed(f"functions give {one!r}, classes {other!r}", "equal endpoints", FIX)
    answers: list[list[Any]] = []
    async with running(*made) as env:
        for service in made:
            client = env.client(service)
            replies = [
                await client.get("/things/7?verbose=true"),
                await client.put("/things/7", json={"name": "ada"}),
                await client.get("/things/none"),
            ]
            answers.append([(one.status_code, one.json()) for one in replies])
    if answers[0] != answers[1] or [status for status, _ in answers[0]] != [200, 201, 422]:
        raise Failed(f"functions answer {answers[0]}, classes {answers[1]}", "equal answers: 200, 201 and 422", FIX)


def _probe() -> Service:
    probe = ServiceBuilder("selftest-methods")

    @probe.get("/things/{number}")
    async def read_thing(number: int) -> str:
        return f"GET {number}"

    @probe.put("/things/{number}")
    async def write_thing(number: int) -> str:
        return f"PUT {number}"

    @probe.delete("/things/{number}")
    async def drop_thing(number: int) -> str:
        return f"DELETE {number}"

    @probe.endpoint("/others/{number}", methods=list(_METHODS))
    async def other(number: int, method: Method) -> str:
        return f"{method} {number}"

    return probe


async def many_methods() -> None:
    """Send each method to a path that has several, by HTTP.

    Raises:
        Failed: if one reaches the handler of another.
    """
    probe = _probe()
    async with running(probe) as env:
        client = env.client(probe)
        for path in ("things", "others"):
            for method in _METHODS:
                reply = await client.request(method, f"/{path}/7")
                _expect(reply.text.strip('"'), method, f"{method} /{path}/7")
        refused = await client.post("/things/7")
        if (refused.status_code, refused.headers.get("allow")) != (405, "DELETE, GET, PUT"):
            seen = f"POST was answered with {refused.status_code}, allow {refused.headers.get('allow')!r}"
            raise Failed(seen, "405, allow 'DELETE, GET, PUT'", FIX)


async def many_methods_by_proxy() -> None:
    """Call each method of such a path through ``proxy``.

    Raises:
        Failed: if one reaches the handler of another.
    """
    probe, caller = _probe(), ServiceBuilder("selftest-caller")
    called: Any = Handle("selftest_methods")
    async with running(caller, probe):
        for method, name in zip(_METHODS, ("read_thing", "write_thing", "drop_thing"), strict=True):
            _expect(await getattr(called, name)(7), method, f"proxy.selftest_methods.{name}(7)")
            said = f"proxy.selftest_methods.other.{method.lower()}(7)"
            _expect(await getattr(called.other, method.lower())(7), method, said)


def _expect(seen: Any, method: str, what: str) -> None:
    if seen != f"{method} 7":
        raise Failed(f"{what} reached the handler that says {seen!r}", f"that of {method}", FIX)
