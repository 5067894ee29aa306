"""Dependencies: what each service needs, and whether it is there, as far as the processes that were seen can tell.

They colour nothing: what is wrong with a service is a finding of its own process, and what nobody has asked yet is
unknown rather than wrong.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evox.observe.forms import Line, ServiceState, Snapshot
from evox.observe.report.gathering import Report
from evox.observe.rules import Level

__all__ = ["Answer", "Dependency", "dependencies"]

Answer: TypeAlias = Level | Literal["unknown"]
States: TypeAlias = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Dependency:
    """One thing that is needed.

    Attributes:
        of: Who needs it: a service, or a process.
        kind: ``"service"``, ``"peer"``, ``"registry"``, ``"backend"`` or ``"check"``.
        on: What is needed.
        level: Whether it is there.
        why: How that is known.
    """

    of: str
    kind: str
    on: str
    level: Answer
    why: str


def dependencies(report: Report) -> list[Dependency]:
    """Return what is needed by whom, what is missing first."""
    states: States = defaultdict(list)
    for _, snapshot in report.snapshots:
        for one in snapshot.services:
            states[one.name].append(one.state)
    found: list[Dependency] = []
    for seen, snapshot in report.snapshots:
        lines = {one.service: one for one in snapshot.proxy.lines}
        for one in snapshot.services:
            found += _of_service(one, states, lines)
        found += _of_process(seen.name, snapshot, states, lines)
    order = {"fail": 0, "warn": 1, "unknown": 2, "pass": 3}
    return sorted(dict.fromkeys(found), key=lambda one: order[one.level])


def _of_service(service: ServiceState, states: States, lines: dict[str, Line]) -> Iterator[Dependency]:
    for name in service.depends_on:
        yield Dependency(service.name, "service", name, *_service(name, states, lines))
    for name, check in service.checks.items():
        level: Level = "pass" if check.status == "pass" else "fail"
        yield Dependency(service.name, "check", name, level, check.why or "it passes")
    for backend in service.caches.backends if service.caches is not None else ():
        why = "it answers" if backend.available else f"{backend.failures} operations failed"
        yield Dependency(service.name, "backend", backend.shown, "pass" if backend.available else "fail", why)


def _of_process(name: str, snapshot: Snapshot, states: States, lines: dict[str, Line]) -> Iterator[Dependency]:
    proxy = snapshot.proxy
    said = {name for one in snapshot.services for name in one.depends_on}
    for peer in proxy.peers:
        yield Dependency(name, "peer", peer, *_service(peer, states, lines))
    for line in proxy.lines:
        if line.kind == "remote" and line.service not in said and line.service not in proxy.peers:
            yield Dependency(name, "service", line.service, *_service(line.service, states, lines))
    if proxy.registry is not None:
        is_there = proxy.registry.available
        why = "it answers" if is_there else "it does not answer"
        yield Dependency(name, "registry", "proxy.registry", "pass" if is_there else "warn", why)


def _service(name: str, states: States, lines: dict[str, Line]) -> tuple[Answer, str]:
    """Return whether a service is there: by what it says itself, else by how calls to it go."""
    found, line = states.get(name, []), lines.get(name)
    if "READY" in found:
        more = "" if found.count("READY") == 1 else f" in {found.count('READY')} processes"
        return "pass", f"it is ready{more}"
    if found:
        return "fail", f"it is {found[0].lower()}"
    if line is None or not line.calls:
        return "unknown", "it is in no process that was seen, and was not called yet"
    if line.breaker.state == "closed":
        return ("pass" if line.failed < line.calls else "warn"), f"{line.failed} of {line.calls} calls to it failed"
    return "warn", f"calls to it are stopped: {line.breaker.why or line.breaker.state}"
