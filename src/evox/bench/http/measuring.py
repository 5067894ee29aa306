"""Measuring: starts all contestants, asks each question of all of them in turns, and ends them.

Within a round all are measured one after the other, and in the next one the other way round. One that does not start,
or answers wrongly, is told with its reason and measured no further; it takes nobody with it.
"""

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, Literal

from evox.bench.http.contestants import BASE, Contestant
from evox.bench.http.events import listening
from evox.bench.http.figures import Row, Sample, rows
from evox.bench.http.load import at_rate, closed
from evox.bench.http.processor import kept_awake, spent
from evox.bench.http.questions import Question
from evox.bench.http.servers import Cores, Fleet, Server, pinned, serving, token_of
from evox.bench.http.wire import WrongAnswer
from evox.bench.http.wrk import by_wrk

__all__ = ["CONNECTIONS", "Load", "Plan", "Table", "measure"]

Load = Literal["shipped", "wrk"]

CONNECTIONS: Final = 32
"""Open at a time where a question does not say."""
_WARM: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how.

    Attributes:
        contestants: Who, all of them installed.
        questions: What is asked.
        rounds: How often, of which the median counts.
        seconds: Of one measurement.
        load: Who sends small requests; the others are sent by the shipped load.
        connections: Open at a time where a question does not say.
        cores: Where servers and load run.
    """

    contestants: Sequence[Contestant]
    questions: Sequence[Question]
    rounds: int
    seconds: float
    load: Load
    cores: Cores
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Table:
    """One question and its answers.

    Attributes:
        question: Which.
        title: What it asks, with the base's name.
        load: Who sent the requests.
        rows: One for each contestant.
        rate: Requests a second that were sent, of questions at fixed times.
    """

    question: Question
    title: str
    load: Load
    rows: list[Row]
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """What is known during a run."""

    plan: Plan
    token: str
    fleet: Fleet

    @property
    def base(self) -> Server:
        """Whom the others are compared with; the first where that one does not run."""
        return next((one for one in self.fleet.servers if one.contestant.name == BASE), self.fleet.servers[0])


def measure(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> list[Table]:
    """Ask all questions of all contestants.

    Args:
        plan: What to do.
        progress: Is told what is going on, for people who wait.

    Returns:
        A table for each question, in their order.
    """
    secret = secrets.token_urlsafe(32)
    guarded = any(question.guarded for question in plan.questions)
    progress("starting all of them")
    core = plan.cores.load
    with (
        serving(plan.contestants, plan.cores.server, secret, guarded=guarded) as fleet,
        pinned(core),
        kept_awake(core),
    ):
        run = _Run(plan, token_of(secret), fleet)
        return [_asked(run, question, progress) for question in plan.questions]


def _asked(run: _Run, question: Question, progress: Callable[[str], None]) -> Table:
    """Ask one question of all, in turns."""
    plan, failures = run.plan, dict(run.fleet.failures)
    rate = _rate(run, question) if run.fleet.servers else None
    samples: dict[str, list[Sample]] = {one.contestant.name: [] for one in run.fleet.servers}
    order = list(run.fleet.servers)
    for number in range(-1, plan.rounds):  # the one before the first is to warm up
        for server in order:
            name = server.contestant.name
            if name in failures:
                continue
            progress(f"{question.title}: {server.contestant.title}, round {max(number, 0) + 1} of {plan.rounds}")
            try:
                sample = _once(plan, question, server, run.token, rate, warm=number < 0)
            except (WrongAnswer, OSError) as error:
                failures[name] = str(error) or type(error).__name__
            else:
                if number >= 0:
                    samples[name].append(sample)
        if number >= 0:
            order.reverse()
    titles = {one.name: one.title for one in plan.contestants}
    base = run.base.contestant.title if run.fleet.servers else ""
    found = rows(titles, samples, failures, BASE)
    return Table(question, question.title.replace("{base}", base), _sender(plan, question), found, rate)


def _sender(plan: Plan, question: Question) -> Load:
    return plan.load if question.plain else "shipped"


def _once(plan: Plan, question: Question, server: Server, token: str, rate: float | None, *, warm: bool) -> Sample:
    """Measure one server once. What warms up is sent by the shipped load, which looks at the answers."""
    address = server.guarded if question.guarded else server.address
    seconds = min(_WARM, plan.seconds) if warm else plan.seconds
    connections = question.connections or plan.connections
    if question.kind == "events":
        return listening(address, question, token, seconds=seconds, clients=connections)
    if rate is not None:
        return at_rate(address, question, token, rate=rate, seconds=seconds, connections=connections)
    send, took = closed, seconds
    if not warm and _sender(plan, question) == "wrk":
        send, took = by_wrk, math.ceil(seconds)
    process = server.guard if question.guarded else server.process
    before = spent(process)
    sample = send(address, question, token, seconds=seconds, connections=connections)
    after = spent(process)
    if before is None or after is None or not sample.rate:
        return sample
    return replace(sample, cost=(after - before) / (sample.rate * took))


def _rate(run: _Run, question: Question) -> float | None:
    """Return at which rate a question is sent: a share of what the base can do just now, of the same requests."""
    if question.kind != "open":
        return None
    plan, address = run.plan, run.base.address
    warm = min(_WARM, plan.seconds)
    closed(address, question, run.token, seconds=warm, connections=plan.connections)
    found = [
        closed(address, question, run.token, seconds=plan.seconds, connections=plan.connections).rate
        for _ in range(plan.rounds)
    ]
    return max(1.0, math.floor(question.share * median(found)))
