"""Steps: what a call goes through. Rooms above add theirs to ``STEPS`` at their position in ``pipeline``."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import Response

from evox.services.admission import AdmitStep, DeadlineStep
from evox.services.cache_steps import BeganStep, CachedAnswerStep, FillStep
from evox.services.call import Call, enter_call, leave_call
from evox.services.endpoint import Endpoint
from evox.services.http_errors import problem
from evox.services.pipeline import Outer, Position, Step

__all__ = ["STEPS", "ContextStep", "PrivateStep"]


class ContextStep:
    """Makes the call the current one, for as long as it is answered."""

    position: Final = Position.CONTEXT

    def applies(self, endpoint: Endpoint) -> bool:
        """Every call has a context."""
        del endpoint
        return True

    def compile(self, endpoint: Endpoint, then: Outer) -> Outer:
        """Wrap ``then`` in the call's context."""
        del endpoint

        async def run(call: Call) -> Any:
            token = enter_call(call)
            try:
                return await then(call)
            finally:
                leave_call(token)

        return run


class PrivateStep:
    """Refuses callers from outside where an endpoint is for internal callers only."""

    position: Final = Position.GUARD

    def applies(self, endpoint: Endpoint) -> bool:
        """Only endpoints declared ``private=True``."""
        return endpoint.private

    def compile(self, endpoint: Endpoint, then: Callable[[Call], Any]) -> Outer:
        """Answer 403 to whatever did not come from another service."""
        del endpoint

        async def run(call: Call) -> Any:
            if call.origin == "internal":
                return await then(call)
            refusal: Response = problem(403, "Forbidden")
            return refusal

        return run


STEPS: list[Step] = [
    ContextStep(),
    PrivateStep(),
    BeganStep(),
    CachedAnswerStep(),
    AdmitStep(),
    FillStep(),
    DeadlineStep(),
]
