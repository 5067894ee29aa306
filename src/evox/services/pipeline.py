"""Pipeline: the one ordered list of steps that every call goes through, by HTTP or in-process.

    outer, before the body is read     CONTEXT  GUARD  CACHED_ANSWER  ADMIT
    between                            the body is read, arguments are parsed and validated
    inner, with arguments              FILL  DEADLINE  INVOKE

A step is compiled once for each endpoint and may decline, so a request pays only for what its endpoint declares.
The order stands here and nowhere else; rooms add steps to ``STEPS``, each at its position.
"""

import enum
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from evox.services.call import Call
from evox.services.endpoint import Endpoint

__all__ = ["Edges", "Inner", "Outer", "Pipeline", "Position", "Step", "compile_pipeline"]

Outer: TypeAlias = Callable[[Call], Awaitable[Any]]
Inner: TypeAlias = Callable[[Call | None, dict[str, Any]], Awaitable[Any]]


class Position(enum.IntEnum):
    """Where in the order a step stands."""

    CONTEXT = 10
    GUARD = 20
    CACHED_ANSWER = 30
    ADMIT = 40
    FILL = 60
    DEADLINE = 70
    INVOKE = 80


class Step(Protocol):
    """One step of the pipeline."""

    @property
    def position(self) -> Position:
        """Where it stands; up to ADMIT it is an outer step, after that an inner one."""

    def applies(self, endpoint: Endpoint) -> bool:
        """Whether calls of this endpoint need the step at all."""

    def compile(self, endpoint: Endpoint, then: Any) -> Any:
        """Return a callable that does this step round ``then``: an ``Outer`` or an ``Inner``, by its position.

        An outer step may return ``Edges`` instead.
        """


class Edges(NamedTuple):
    """What a step does before and after what follows it, where it need not be wrapped round that.

    Steps of this kind that follow one another are one coroutine, so that a step costs what it does and no more.

    Attributes:
        before: Called first. What it returns, if anything, is awaited.
        after: Called last, whether or not ``before`` has come to its end: it looks for what there is to be undone.
    """

    before: Callable[[Call], Awaitable[None] | None]
    after: Callable[[Call], None] | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The compiled steps of one endpoint.

    Attributes:
        outer: Wraps what answers a call (reading the body, validating, the inner steps) in the outer steps.
        inner: Runs the inner steps with validated arguments and returns the handler's value.
        undated: The same for calls without a deadline.
        steps: The steps that apply, in order, for introspection.
    """

    outer: Callable[[Outer], Outer]
    inner: Inner
    undated: Inner
    steps: tuple[Position, ...]


def compile_pipeline(endpoint: Endpoint, steps: Iterable[Step], invoke: Inner) -> Pipeline:
    """Compile the steps of one endpoint.

    Args:
        endpoint: The row.
        steps: The steps on offer, in any order.
        invoke: Calls the handler; the innermost of all.
    """
    applying = sorted((step for step in steps if step.applies(endpoint)), key=lambda step: step.position)
    inner = undated = invoke
    for step in reversed([one for one in applying if one.position > Position.ADMIT]):
        inner = step.compile(endpoint, inner)
        if step.position is not Position.DEADLINE:
            undated = step.compile(endpoint, undated)

    def outer(answer: Outer) -> Outer:
        edges: list[Edges] = []
        for step in reversed([one for one in applying if one.position <= Position.ADMIT]):
            made = step.compile(endpoint, answer)
            if isinstance(made, Edges):
                edges.insert(0, made)
                continue
            if edges:
                made = step.compile(endpoint, _within(edges, answer))
            answer, edges = made, []
        return _within(edges, answer) if edges else answer

    return Pipeline(outer, inner, undated, tuple(step.position for step in applying))


def _within(edges: Sequence[Edges], then: Outer) -> Outer:
    """Return what does all of these before and after ``then``."""
    befores = tuple(one.before for one in edges)
    afters = tuple(one.after for one in reversed(edges) if one.after is not None)

    async def run(call: Call) -> Any:
        try:
            for before in befores:
                waiting = before(call)
                if waiting is not None:
                    await waiting
            return await then(call)
        finally:
            for after in afters:
                after(call)

    return run
