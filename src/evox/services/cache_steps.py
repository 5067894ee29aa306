"""Cache steps: where in the pipeline answers are given again, and where a write takes them away."""

import logging
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from evox import context
from evox.errors import DataError
from evox.services.caching import SAFE, AnswerCache, caching_of
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.guarded import GuardedCache
from evox.services.inputs import Inputs, inputs_of
from evox.services.keying import groups_of, path_of
from evox.services.pipeline import Inner, Outer, Position
from evox.services.running import Running

__all__ = ["CachedAnswerStep", "FillStep", "InvalidateStep", "cache_of", "check_answers"]

_log = logging.getLogger("evox.data")


def cache_of(row: Endpoint, dependant: Any) -> AnswerCache | None:
    """Return what keeps the answers of an endpoint, or None if they are not kept.

    Args:
        row: The endpoint.
        dependant: FastAPI's view of it.

    Raises:
        InvalidDeclaration: if its answers depend on what is not named, or its options contradict each other.
    """
    found = caching_of(row)
    if found is None:
        return None
    intent, policy = found
    inputs: Inputs = inputs_of(row, dependant, intent.vary_on)
    kind = GuardedCache if inputs.guarded else AnswerCache
    return kind(row, intent, policy, inputs)


async def check_answers(running: Running) -> None:
    """Check that the backend can keep what endpoints promise of their answers.

    Raises:
        InvalidDeclaration: naming the endpoint.
    """
    data = running.data
    for row in running.service.endpoints:
        found = caching_of(row)
        if found is not None and found[1].strong:
            await data.store_of(replace(data.homes.answers(*found), of=f"endpoint {row.name!r}"))


class CachedAnswerStep:
    """Gives a kept answer again, before a seat is taken."""

    position: Final = Position.CACHED_ANSWER

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints whose answers are kept."""
        return caching_of(endpoint) is not None

    def compile(self, endpoint: Endpoint, then: Outer) -> Outer:
        """Ask the endpoint's cache first."""
        del endpoint

        async def run(call: Call) -> Any:
            return await (then(call) if call.cache is None else call.cache.outer(call, then))

        return run


class FillStep:
    """Gives a kept answer again, after dependencies have run."""

    position: Final = Position.FILL

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints whose answers are kept."""
        return caching_of(endpoint) is not None

    def compile(self, endpoint: Endpoint, then: Inner) -> Inner:
        """Ask the endpoint's cache first."""
        del endpoint

        async def run(call: Call | None, arguments: dict[str, Any]) -> Any:
            if call is None or call.cache is None:
                return await then(call, arguments)
            return await call.cache.inner(call, arguments, then)

        return run


class InvalidateStep:
    """Takes kept answers away when an unsafe request has succeeded.

    Those of its path, of the collection above it, and of its controller.
    """

    position: Final = Position.CACHED_ANSWER

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints with a method that may change something."""
        return not SAFE.union(("OPTIONS", "TRACE")).issuperset(endpoint.methods)

    def compile(self, endpoint: Endpoint, then: Outer) -> Outer:
        """Look at what ``then`` answers."""

        async def run(call: Call) -> Any:
            response = await then(call)
            running = context.maybe_service()
            if not isinstance(running, Running) or not running.service.caches_answers or call.request is None:
                return response
            unsafe = call.method not in SAFE and call.method not in ("OPTIONS", "TRACE")
            if unsafe and (not isinstance(response, Response) or 200 <= response.status_code < 400):
                await _invalidate(running, groups_of(endpoint, path_of(call.request), above=True))
            return response

        return run


async def _invalidate(running: Running, groups: list[str]) -> None:
    """Take answers away. The write has been done, so that this fails is no reason to say that it was not."""
    data = running.maybe_data
    if data is not None:
        try:
            await data.invalidate_tags(groups)
        except DataError as error:
            _log.warning("answers may be old for up to their ttl: %s could not be taken away: %s", groups, error.what)
