"""A target that answers what a test has written down, and the line to it; what it was sent is kept."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel

from evox import ServiceBuilder
from evox.auth import Internal
from evox.service_proxy import NoAnswer, Reply, Sending
from evox.service_proxy.calling import Line, make_call
from evox.service_proxy.calls import PendingCall
from evox.services.encoding import Encoder, Wire
from evox.services.operations import Operation, Operations
from evox.testing import running

__all__ = [
    "ENDS",
    "GET",
    "KEYED",
    "OK",
    "POST",
    "Answer",
    "AtOnce",
    "Late",
    "Scripted",
    "answered",
    "attempt",
    "cut",
    "line_to",
    "refused",
    "status",
]

GET = Operation("read", "GET", "/", idempotent=True)
POST = Operation("add", "POST", "/add")
KEYED = Operation("pay", "POST", "/pay", keyed=True)
OK = Reply(200, b"1")


@dataclass
class Late:
    """An answer that takes its time."""

    seconds: float
    answer: Reply | NoAnswer = OK


Answer: TypeAlias = Reply | NoAnswer | Late


def status(code: int, **headers: str) -> Reply:
    """Return an answer without a body; underscores in the names of headers are dashes."""
    return Reply(code, b"", {name.replace("_", "-"): value for name, value in headers.items()})


def refused() -> NoAnswer:
    """Return that a connection was refused: nothing was sent."""
    return NoAnswer("it cannot be reached", sent=False)


def cut() -> NoAnswer:
    """Return that a connection broke after the call was sent."""
    return NoAnswer("the connection was cut", sent=True)


class AtOnce(random.Random):
    """Chance that always says: wait for nothing."""

    def uniform(self, a: float, b: float) -> float:
        """Return the least."""
        del b
        return a


@dataclass
class Scripted:
    """Answers one thing after the other, and the last of them for ever after.

    Attributes:
        answers: What it answers.
        sent: When each attempt reached it, and what travelled with it.
        running: How many calls it has now; ``most`` is the most of all times.
    """

    answers: list[Answer]
    name: str = "users"
    kind: str = "fake"
    found: tuple[Operation, ...] = (GET, POST, KEYED)
    sent: list[tuple[float, Sending]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    @property
    def times(self) -> list[float]:
        """When it was reached."""
        return [when for when, _ in self.sent]

    async def operations(self, sending: Sending) -> Operations:
        """Return what it can do."""
        del sending
        return Operations(self.name, self.found)

    async def send(self, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        """Answer, within the time there is."""
        self.sent.append((anyio.current_time(), sending))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            with anyio.CancelScope(deadline=sending.deadline):
                await anyio.lowlevel.checkpoint()
                if isinstance(answer, Late):
                    await anyio.sleep(answer.seconds)
                    answer = answer.answer
                if isinstance(answer, NoAnswer):
                    raise answer
                return answer
        finally:
            self.running -= 1
        raise NoAnswer("its time was over", sent=True, is_timeout=True)

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> Any:
        """Answer as to a call."""
        return await self.send(operation, wire, sending)

    def statistics(self) -> Any:
        """Return what it was sent."""
        return self.sent


def line_to(*answers: Answer, attempts: int = 3, at_once: bool = True) -> tuple[Line, Scripted]:
    """Return a line to a target that answers this, and the target. ``at_once``: nobody waits between attempts."""
    target = Scripted(list(answers))
    line = Line(target, attempts)
    if at_once:
        line.random = AtOnce()
    return line, target


async def attempt(
    line: Line, operation: Operation = GET, *, within: float = 10.0, key: str | None = None, hurried: bool = False
) -> tuple[Reply, int]:
    """Make one call that has so many seconds."""
    now = anyio.current_time()
    sending = Sending(Internal("orders"), now + within, now, key=key, hurried=hurried)
    return await make_call(line, operation, Encoder("users", operation).encode((), {}), sending)


async def value_of(call: PendingCall[Any]) -> Any:
    """Return the value of a call."""
    return await call


async def outcome_of(call: PendingCall[Any]) -> Any:
    """Return the outcome of a call."""
    return await call.outcome()


ENDS = (value_of, outcome_of)


@asynccontextmanager
async def answered(*answers: Answer) -> AsyncIterator[Scripted]:
    """Run a service that calls another, which answers this; nobody waits between attempts."""
    target = Scripted(list(answers))
    async with running(ServiceBuilder("orders")) as env:
        env._board.fake(target)
        env._board.line("users").random = AtOnce()
        yield target
