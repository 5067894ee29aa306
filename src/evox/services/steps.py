"""Steps: what a call goes through. Rooms above add theirs to ``STEPS`` at their position in ``pipeline``."""

from typing import Final

from evox.services.admission import AdmitStep, DeadlineStep
from evox.services.cache_steps import BeganStep, CachedAnswerStep, FillStep
from evox.services.call import Call, enter_call, leave_call
from evox.services.endpoint import Endpoint
from evox.services.guard import GuardStep
from evox.services.idempotency import HandlerBeganStep, IdempotencyStep
from evox.services.pipeline import Edges, Outer, Position, Step

__all__ = ["STEPS", "ContextStep"]


class ContextStep:
    """Makes the call the current one, for as long as it is answered."""

    position: Final = Position.CONTEXT

    def applies(self, endpoint: Endpoint) -> bool:
        """Every call has a context."""
        del endpoint
        return True

    def compile(self, endpoint: Endpoint, then: Outer) -> Edges:
        """Enter the call's context, and leave it."""
        del endpoint, then

        def before(call: Call) -> None:
            call.tokens = enter_call(call)

        def after(call: Call) -> None:
            if call.tokens is not None:
                leave_call(call.tokens)
                call.tokens = None

        return Edges(before, after)


STEPS: list[Step] = [
    ContextStep(),
    GuardStep(),
    BeganStep(),
    CachedAnswerStep(),
    IdempotencyStep(),
    AdmitStep(),
    FillStep(),
    DeadlineStep(),
    HandlerBeganStep(),
]
