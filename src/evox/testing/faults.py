"""Faults: what goes wrong between a caller and a callee, put there by a test.

    with env.faults("user-service", cut=True, times=1):
        ...     # the next call is made, and its answer is lost

It is the proxy that they are put in, so they are the same wherever the service runs. For faults of the connection
itself see ``tcp_faults``.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from evox.durations import Duration, seconds
from evox.service_proxy import NoAnswer, Reply, Sending, Switchboard, Target
from evox.services.encoding import Wire
from evox.services.operations import Operation, Operations

__all__ = ["Faults", "faults"]


@dataclass
class Faults:
    """What goes wrong, how often, and how often it has.

    Attributes:
        delay: Seconds before a call is made.
        error: A status that is answered in the stead of the callee.
        drop: The call does not arrive: it waits until its time is over.
        refuse: The callee cannot be reached.
        duplicate: The call arrives twice.
        cut: The call is made, and its answer is lost.
        rate: Share of calls that are hit.
        times: How many calls are hit at most.
        operation: The only operation that is hit; every one if None.
        hit: How many calls were hit.
    """

    delay: float = 0.0
    error: int | None = None
    drop: bool = False
    refuse: bool = False
    duplicate: bool = False
    cut: bool = False
    rate: float = 1.0
    times: int | None = None
    operation: str | None = None
    hit: int = 0


class FaultyTarget:
    """A target, and what goes wrong on the way to it."""

    def __init__(self, target: Target, plan: Faults, seed: int) -> None:
        self._target, self._plan = target, plan
        self._random = random.Random(seed)  # noqa: S311  tests want the same again

    def __repr__(self) -> str:
        return f"<FaultyTarget {self._target!r}>"

    @property
    def name(self) -> str:
        """The service's name."""
        return self._target.name

    @property
    def kind(self) -> str:
        """Where the service is."""
        return self._target.kind

    async def operations(self, sending: Sending) -> Operations:
        """Return what the service can do; nothing goes wrong with that."""
        return await self._target.operations(sending)

    async def send(self, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        """Make one attempt, with what goes wrong.

        Raises:
            NoAnswer: if there was no answer.
        """
        plan = self._plan
        if not self._is_hit(operation):
            return await self._target.send(operation, wire, sending)
        await self._before(sending)
        if plan.error is not None:
            return Reply(plan.error, b"", {"content-type": "text/plain"})
        if plan.duplicate:
            await self._target.send(operation, wire, sending)
        reply = await self._target.send(operation, wire, sending)
        if plan.cut:
            raise NoAnswer("the connection was cut", sent=True)
        return reply

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> Any:
        """Begin a stream, with what goes wrong before it."""
        if self._is_hit(operation):
            await self._before(sending)
            if self._plan.error is not None:
                return Reply(self._plan.error, b"", {"content-type": "text/plain"})
        return await self._target.stream(operation, wire, sending)

    def statistics(self) -> Any:
        """Return what goes wrong."""
        return self._plan

    def _is_hit(self, operation: Operation) -> bool:
        plan = self._plan
        if plan.operation is not None and operation.name != plan.operation:
            return False
        if (plan.times is not None and plan.hit >= plan.times) or self._random.random() >= plan.rate:
            return False
        plan.hit += 1
        return True

    async def _before(self, sending: Sending) -> None:
        """Let a call come late, or not at all.

        Raises:
            NoAnswer: if it does not arrive.
        """
        plan = self._plan
        until = sending.deadline if plan.drop else anyio.current_time() + plan.delay
        await anyio.sleep_until(min(until, sending.deadline))
        if until >= sending.deadline:
            raise NoAnswer("its time was over", sent=plan.drop, is_timeout=True)
        if plan.refuse:
            raise NoAnswer("it cannot be reached", sent=False)


@contextmanager
def faults(board: Switchboard, service: str, *, delay: Duration = 0, seed: int = 0, **plan: Any) -> Iterator[Faults]:
    """Let something go wrong with calls of a service, for the time of a ``with`` block.

    Args:
        board: Of the runtime whose calls are hit; ``env.faults`` knows it.
        service: Who is called.
        delay: Seconds before a call is made, or a duration.
        seed: Makes the same choice of calls again.
        **plan: As in ``Faults``.
    """
    line, made = board.line(service), Faults(delay=seconds(delay), **plan)
    real, line.target = line.target, FaultyTarget(line.target, made, seed)
    try:
        yield made
    finally:
        line.target = real
