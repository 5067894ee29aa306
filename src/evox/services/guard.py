"""Guard: says who calls, and lets through whom an endpoint is for. It runs before the body, the cache and admission.

    declared            callers from outside                         another service
    nothing             everybody; nobody once the service asks      the same
    public              everybody                                    it
    roles or an intent  whose token meets all of it                  on behalf of a user who meets it
    private=True        nobody                                       it, if what else is declared is met

A token on what is public says who calls if it is good, and nothing if it is not. Credentials of a service are never
taken for less than they claim: good, or refused.
"""

from typing import Any, Final

from evox import context
from evox.auth import ANONYMOUS, Principal, Requirement, anything_declared, enter_principal, leave_principal
from evox.errors import AuthError, NotAllowed, NotAuthenticated, OutsideRuntime
from evox.services.call import Call
from evox.services.endpoint import Endpoint
from evox.services.pipeline import Edges, Outer, Position
from evox.services.running import Running

__all__ = ["GuardStep", "pass_through"]


class GuardStep:
    """Lets a call through, or refuses it."""

    position: Final = Position.GUARD

    def applies(self, endpoint: Endpoint) -> bool:
        """Every endpoint: what declares nothing is denied where others do."""
        del endpoint
        return True

    def compile(self, endpoint: Endpoint, then: Outer) -> Edges:
        """Look at the caller first."""
        del then
        requirement, private, name = endpoint.requirement, endpoint.private, endpoint.name
        declares = requirement is not None or private

        def before(call: Call) -> Any:
            running: Any = context.maybe_service()
            known = isinstance(running, Running)
            if declares or (running.looks_at_callers if known else anything_declared()):
                return look(call, running)
            if call.claims and call.internal is None and known:
                return _believe(call, name, running)
            if call.internal is not None and call.request is not None:
                enter_principal(call.internal)  # the app's layer leaves it
            return None

        async def look(call: Call, running: Any) -> None:
            await _let_through(call, requirement, name, running, private=private)
            token = enter_principal(call.principal)
            if call.request is None:  # others' caller stays until the app's layer leaves it
                call.entered = token

        def after(call: Call) -> None:
            if call.entered is not None:
                leave_principal(call.entered)
                call.entered = None

        return Edges(before, after)


async def _let_through(call: Call, requirement: Requirement | None, name: str, running: Any, *, private: bool) -> None:
    target = f"endpoint {name!r}"
    if not isinstance(running, Running):
        raise OutsideRuntime(target)
    optional = not private and ((requirement is None and not running.asks) or _is_public(requirement))
    try:
        if call.internal is None and call.request is not None:
            operation = f"{call.method} {call.endpoint.path}"
            caller = await running.identify(call.request.scope["headers"], operation=operation, optional=optional)
            call.internal = caller.internal
            principal = caller.principal
        else:
            principal = ANONYMOUS if call.internal is None else call.internal.principal
        if private and call.internal is None:
            raise NotAllowed(target, "it is for other services alone")
        pass_through(principal, requirement, target, asks=requirement is None and not private and running.asks)
    except AuthError as error:
        running.refused(error, target)
        raise
    call.principal = principal


async def _believe(call: Call, name: str, running: Running) -> None:
    """Find out which other service calls, where nobody asks: whom it works for is for those that are called from here.

    Raises:
        TokenRefused: if it says so, and it is not true.
    """
    if running.authority.internal_tokens() is None:
        return
    target = f"endpoint {name!r}"
    try:
        operation = f"{call.method} {call.endpoint.path}"
        caller = await running.identify(call.request.scope["headers"], operation=operation, optional=True)
    except AuthError as error:
        running.refused(error, target)
        raise
    call.internal = caller.internal
    if call.internal is not None:
        enter_principal(call.internal)  # the app's layer leaves it


def pass_through(principal: Principal, requirement: Requirement | None, target: str, *, asks: bool) -> None:
    """Let a caller pass who meets what is declared.

    Args:
        principal: Who calls.
        requirement: What is declared.
        target: On what, for the message.
        asks: Whether the service asks who calls, so that what declares nothing is for nobody.

    Raises:
        NotAuthenticated, NotAllowed: if it may not.
    """
    if requirement is not None:
        requirement.check(principal, target)
    elif asks:
        why = "it does not say whom it is for, and the service asks who calls: put @auth.public or roles on it"
        raise NotAllowed(target, why) if principal.is_authenticated else NotAuthenticated(target, why)


def _is_public(requirement: Requirement | None) -> bool:
    return requirement is not None and requirement.public
