"""Cache steps: where in the pipeline answers are given again, and where a write is seen to begin."""

from dataclasses import replace
from typing import Any, Final

from evox import spans
from evox.services.caching import AnswerCache, caching_of
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.guarded import GuardedCache
from evox.services.inputs import Inputs, inputs_of
from evox.services.pipeline import Inner, Outer, Position
from evox.services.running import Running
from evox.services.writes import HARMLESS, write_of

__all__ = ["BeganStep", "CachedAnswerStep", "FillStep", "cache_of", "check_answers"]


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
    """Open the backends of endpoints' answers, and check that they can keep what is promised.

    Raises:
        InvalidDeclaration: naming the endpoint.
    """
    data = running.data
    for row in running.service.endpoints:
        found = caching_of(row)
        if found is not None and (found[1].strong or found[0].backend is not None):
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
            if call.cache is None:
                return await then(call)
            call.span = spans.current()
            return await call.cache.outer(call, then)

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


class BeganStep:
    """Notes that the handler of an unsafe request begins: what was refused before that has changed nothing."""

    position: Final = Position.FILL

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints with a method that may change something."""
        return not HARMLESS.issuperset(endpoint.methods)

    def compile(self, endpoint: Endpoint, then: Inner) -> Inner:
        """Note it and go on."""
        del endpoint

        async def run(call: Call | None, arguments: dict[str, Any]) -> Any:
            write = None if call is None or call.request is None else write_of(call.request.scope)
            if write is not None:
                write.began = True
            return await then(call, arguments)

        return run
