"""Cache steps: where in the pipeline answers are given again, and where a write takes them away."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

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

__all__ = ["BeganStep", "CachedAnswerStep", "FillStep", "InvalidateStep", "cache_of", "check_answers"]

HARMLESS: Final = SAFE | {"OPTIONS", "TRACE"}
LONGEST: Final = 5.0  # seconds for which a request waits until answers are taken away
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
    """Takes kept answers away when an unsafe request may have changed something.

    Those of its path, of the collection above it, and of its controller. It has changed something when it succeeds, and
    may have when its handler began and failed, or was ended. A stream goes on changing things until it ends.
    """

    position: Final = Position.CACHED_ANSWER

    def applies(self, endpoint: Endpoint) -> bool:
        """Endpoints with a method that may change something."""
        return not HARMLESS.issuperset(endpoint.methods)

    def compile(self, endpoint: Endpoint, then: Outer) -> Outer:
        """Look at what ``then`` answers."""

        async def run(call: Call) -> Any:
            running = context.maybe_service()
            concerns = isinstance(running, Running) and running.service.caches_answers and call.request is not None
            if not concerns or call.method in HARMLESS:
                return await then(call)
            assert isinstance(running, Running)  # noqa: S101  as was seen above
            take_away = partial(_invalidate, running, groups_of(endpoint, path_of(call.request), above=True))
            try:
                response = await then(call)
            except BaseException as error:
                if call.began and not _is_the_clients(error):
                    await take_away()
                raise
            status = response.status_code if isinstance(response, Response) else 200
            if status < 400 or (call.began and status >= 500):
                await take_away()
            if isinstance(response, StreamingResponse):
                response.body_iterator = _until_the_end(response.body_iterator, take_away)
            return response

        return run


class BeganStep:
    """Notes that the handler of an unsafe request begins: what was refused before that has changed nothing."""

    position: Final = Position.FILL
    applies = InvalidateStep.applies

    def compile(self, endpoint: Endpoint, then: Inner) -> Inner:
        """Note it and go on."""
        del endpoint

        async def run(call: Call | None, arguments: dict[str, Any]) -> Any:
            if call is not None:
                call.began = True
            return await then(call, arguments)

        return run


def _is_the_clients(error: BaseException) -> bool:
    """Whether an error says that the request was wrong, so that nothing was done."""
    return isinstance(error, HTTPException) and error.status_code < 500


async def _until_the_end(chunks: Any, take_away: Callable[[], Awaitable[None]]) -> AsyncIterator[Any]:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            with anyio.CancelScope(shield=True):
                await close()
        await take_away()


async def _invalidate(running: Running, groups: list[str]) -> None:
    """Take answers away. The write has been done, so that this fails is no reason to say that it was not."""
    data = running.maybe_data
    if data is None:
        return
    with anyio.move_on_after(LONGEST, shield=True) as waiting:  # whoever wrote may have left, or be out of time
        try:
            await data.invalidate_tags(groups)
        except DataError as error:
            _log.warning("answers may be old for up to their ttl: %s could not be taken away: %s", groups, error.what)
    if waiting.cancelled_caught:
        _log.warning("answers may be old for up to their ttl: %s were not taken away in %g s", groups, LONGEST)
