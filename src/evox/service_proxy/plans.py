"""Plans: what is known of one operation before it is called: how its arguments are sent, and its answers are read.

A plan is made the first time that an operation is called, and kept while the service's operations stay the same.
"""

import inspect
import secrets
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, get_type_hints

import anyio

from evox.errors import CallFailed, InvalidCall, UnknownOperation, UnusableAnswer
from evox.service_proxy.calling import Line, ask_once
from evox.service_proxy.local import LocalTarget
from evox.service_proxy.replies import Reader
from evox.service_proxy.sending import Sending
from evox.services.encoding import Encoder, Wire
from evox.services.operations import NO_TYPE, Operation, Operations

__all__ = ["Plan", "plan_of"]

_DESCRIBING: Final = Operation("the description", "GET", "/", idempotent=True)


class Plan:
    """How one operation is called.

    Args:
        operations: All of the service.
        operation: The one.
        returns: The type of its answer.
    """

    def __init__(self, operations: Operations, operation: Operation, returns: Any) -> None:
        self.operations = operations
        self.operation = operation
        self._encoder = Encoder(operations.service, operation)
        self.reader = Reader(operations.service, operation, returns)
        before = takewhile(lambda one: one is not operation, operations)
        self._before = any(one.method == operation.method for one in before)

    def __repr__(self) -> str:
        return f"<Plan of {self.operations.service}.{self.operation.name}: {self.operation}>"

    def wire(self, args: Sequence[Any], named: Mapping[str, Any]) -> Wire:
        """Return the arguments as they are sent.

        Raises:
            InvalidCall: if they cannot be, or would lead to another operation.
        """
        wire = self._encoder.encode(args, named)
        if self._before and wire.values:
            other = self.operations.taken_by(self.operation, self._encoder.plain(wire.values))
            if other is not None:
                why = f"with these values its path is that of {other.name!r}: {other}"
                raise InvalidCall(f"{self.operations.service}.{self.operation.name}", why, fix=f"call {other.name}")
        return wire

    def key(self, given: str | None) -> str:
        """Return the idempotency key of a call: the one given, or a new one.

        Raises:
            InvalidCall: if the operation keeps no answers by it.
        """
        if self.operation.keyed is False:
            why = "it keeps no answers by key, so it would run again"
            fix = 'declare it with idempotency="24h"'
            raise InvalidCall(f"{self.operations.service}.{self.operation.name}", why, fix=fix)
        return secrets.token_urlsafe(24) if given is None else given


async def plan_of(line: Line, called: Any, sending: Sending) -> Plan:
    """Return the plan for what is called.

    Raises:
        UnknownOperation, AmbiguousOperation: if the name means none, or several.
        CallUnavailable: if the service cannot be asked what it can do.
        UnusableAnswer: if it says of itself what cannot be.
    """
    target = line.target
    if isinstance(target, LocalTarget):
        operations = target.known
    else:
        try:
            operations = await ask_once(
                line, _DESCRIBING, sending, lambda: target.operations(sending), good="cancelled"
            )
        except CallFailed:
            line.count(sending)
            line.failed += 1
            raise
        sending.began = anyio.current_time()  # it may have taken a while to hear that
    plans: dict[Any, Plan] = operations.plans
    if isinstance(target, LocalTarget):
        line.plans = plans
    plan = plans.get(called)
    if plan is None:
        operation = operations.find(called.operation, called.method)
        try:
            plan = plans[called] = Plan(operations, operation, _returns(called, operation))
        except (AssertionError, ValueError) as error:  # Starlette's, of the path that a service elsewhere has told
            why = f"what it says of {operation} cannot be used: {error}"
            raise UnusableAnswer(target.name, operation.name, why=why[:500], may_have_run=False) from None
    return plan


def _returns(called: Any, operation: Operation) -> Any:
    """Return the type of an answer: as the contract says it, or else as the service does.

    Raises:
        UnknownOperation: if the contract has no such method.
    """
    if called.contract is None:
        return operation.returns
    method = getattr(called.contract, called.operation, None)
    if method is None:
        known = [name for name in dir(called.contract) if not name.startswith("_")]
        raise UnknownOperation(called.contract.__name__, called.operation, known)
    hinted = get_type_hints(method, include_extras=True).get("return", NO_TYPE)
    if operation.row is not None and operation.row.controller is called.contract:
        return operation.returns  # it is the service's own, and may be a status tuple
    if operation.streams is not None or inspect.isasyncgenfunction(method):
        return next(iter(getattr(hinted, "__args__", ())), NO_TYPE)
    return NO_TYPE if hinted is None and operation.returns is NO_TYPE else hinted
