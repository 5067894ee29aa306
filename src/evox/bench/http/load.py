"""Load: sends requests to one server for a while, from one thread, and times the answers.

``closed`` sends the next request of a connection when its answer came: it finds out how much a server can do. ``open``
sends at fixed times and counts from the time at which a request should have been sent, so that a server that stands
still for a moment has all those requests late that fell into it, and not only the one that was under way.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from evox.bench.http.figures import Sample
from evox.bench.http.questions import Question
from evox.bench.http.watching import READ, WRITE, Watch, watching
from evox.bench.http.wire import Address, Wire, WrongAnswer
from evox.bench.rounds import uncollected

__all__ = ["at_rate", "closed"]

PATIENCE: Final = 10.0
"""Seconds without any answer after which a server counts as hung."""
OVERTIME: Final = 1.0
"""Seconds that requests sent at fixed times may take beyond the last of them."""
_SPIN: Final = 0.002
"""Seconds before the next request from which on the load watches without sleeping: epoll sleeps whole milliseconds."""


def closed(address: Address, question: Question, token: str, *, seconds: float, connections: int) -> Sample:
    """Send one request after the other on each connection.

    Args:
        address: Of the server.
        question: What is asked.
        token: For the question that needs one.
        seconds: How long.
        connections: How many are open at a time.

    Returns:
        The answers that came in that time.

    Raises:
        WrongAnswer: if one is not right.
        OSError: if the server does not take a connection, or breaks one.
    """
    latencies: list[float] = []
    clock, note = time.perf_counter, latencies.append
    with _wires(address, question, token, connections) as (poll, wires), uncollected():
        began, cost = clock(), time.process_time()
        end = began + seconds
        for wire in wires.values():
            _ask(poll, wire, clock())
        busy = len(wires)
        while busy:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise WrongAnswer(f"no answer within {PATIENCE:g} s")
            for descriptor, event in ready:
                wire = wires[descriptor]
                if event & WRITE:
                    if wire.more():
                        poll.modify(descriptor, READ)
                    continue
                if not wire.take():
                    continue
                now = clock()
                if now < end:
                    note(now - wire.sent)
                    _ask(poll, wire, now)
                else:
                    busy -= 1
        return Sample(len(latencies) / seconds, latencies, (time.process_time() - cost) / (clock() - began))


def at_rate(
    address: Address, question: Question, token: str, *, rate: float, seconds: float, connections: int
) -> Sample:
    """Send requests at fixed times, on whatever connection is free.

    Args:
        address: Of the server.
        question: What is asked.
        token: For the question that needs one.
        rate: Requests a second.
        seconds: How long.
        connections: How many are open at a time; a request for which none is free waits, and its time runs.

    Returns:
        All requests; those that were never answered count with the time that they waited. How busy the load was is
        not known, as it watches the clock when it has nothing to do.

    Raises:
        WrongAnswer: if one is not right.
        OSError: if the server does not take a connection, or breaks one.
    """
    latencies: list[float] = []
    clock, note = time.perf_counter, latencies.append
    total = max(1, int(rate * seconds))
    with _wires(address, question, token, connections) as (poll, wires), uncollected():
        free = deque(wires.values())
        began = clock()
        last, sent, answered = began + seconds + OVERTIME, 0, 0
        while answered < total and (now := clock()) < last:
            while sent < total and free and began + sent / rate <= now:
                _ask(poll, free.popleft(), began + sent / rate)
                sent += 1
            until = began + sent / rate - now if sent < total and free else _SPIN
            for descriptor, event in poll.poll(max(0.0, until - _SPIN) if sent < total else OVERTIME / 10):
                wire = wires[descriptor]
                if event & WRITE:
                    if wire.more():
                        poll.modify(descriptor, READ)
                elif wire.take():
                    note(clock() - wire.sent)
                    free.append(wire)
                    answered += 1
        took = clock()
        waiting = {id(wire) for wire in free}
        latencies += [took - wire.sent for wire in wires.values() if id(wire) not in waiting]
        latencies += [took - began - number / rate for number in range(sent, total)]
        return Sample(answered / max(seconds, took - began), latencies, None)


def _ask(poll: Watch, wire: Wire, now: float) -> None:
    wire.sent = now
    if not wire.ask():
        poll.modify(wire.descriptor, READ | WRITE)


@contextmanager
def _wires(
    address: Address, question: Question, token: str, connections: int
) -> Iterator[tuple[Watch, dict[int, Wire]]]:
    """Open connections, and close them."""
    request = question.request(token)
    wires: dict[int, Wire] = {}
    with watching() as poll:
        try:
            for _ in range(connections):
                wire = Wire(address, question, request)
                wires[wire.descriptor] = wire
                poll.register(wire.descriptor, READ)
            yield poll, wires
        finally:
            for wire in wires.values():
                with suppress(OSError):
                    wire.close()
