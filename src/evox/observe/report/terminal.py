"""Terminal: a report as plain text: what is wrong first, then services, then what they are made of.

It says less than the page: lists end after some rows, and what is nothing is left out.
"""

from collections.abc import Iterator
from typing import Final

from evox.observe.forms import ServiceState
from evox.observe.report.columns import Pen
from evox.observe.report.dependencies import dependencies
from evox.observe.report.gathering import Report
from evox.observe.report.services import rows
from evox.observe.report.troubles import recoveries, troubles
from evox.observe.report.wording import ago, count, moment, size, span, word

__all__ = ["table"]

SHOWN: Final = 20  # rows of one list
HEADINGS: Final = {
    "pass": "green: all is well",
    "warn": "yellow: it works, and something wants a look",
    "fail": "red: something does not work",
}


def table(report: Report, *, width: int = 80, colour: bool = False) -> str:
    """Return a report as text.

    Args:
        report: What was seen.
        width: Of the terminal, in characters.
        colour: Whether to write colours; words say the same.
    """
    pen = Pen(max(60, min(width, 160)), colour=colour)
    found, processes = rows(report), len(report.processes)
    services = f"{count(len(found))} {'service' if len(found) == 1 else 'services'}"
    pen.line(f"evox health: {HEADINGS[report.level]}", report.level)
    pen.line(f"{services} in {count(processes)} {'process' if processes == 1 else 'processes'}, {moment(report.time)}")
    _troubles(pen, report)
    _services(pen, report)
    _dependencies(pen, report)
    _queues(pen, report)
    _data(pen, report)
    _intents(pen, report)
    _calls(pen, report)
    _auth(pen, report)
    _recent(pen, report)
    return pen.text


def _troubles(pen: Pen, report: Report) -> None:
    found = troubles(report)
    if found:
        pen.heading("Wrong now")
    for one in found[:SHOWN]:
        since = "" if one.since is None else f"{moment(one.since)}, {ago(one.since, one.now)}"
        facts = [("why", one.why), ("since", since), ("do", one.fix)]
        pen.item(word(one.level), one.level, f"{one.where}: {one.what}", facts)
    _more(pen, len(found))
    over = recoveries(report)
    if over:
        pen.heading("Recovered")
    for it in over[:SHOWN]:
        times = f", {count(it.incident.count)} times" if it.incident.count > 1 else ""
        lasted = f"{moment(it.incident.since)}, for {span(it.lasted)}{times}"
        until = f"{moment(it.until)}, {ago(it.until, it.now)}"
        what = f"{it.where}: {it.incident.title}"
        pen.item("over", "pass", what, [("was", it.incident.reason), ("from", lasted), ("until", until)])
    _more(pen, len(over))


def _services(pen: Pen, report: Report) -> None:
    found = rows(report)
    if not found:
        return
    pen.heading("Services")
    head = ["status", "service", "state", "for", "#calls", "#failed", "#p95", "api"]
    pen.table(
        [*head, *_pid(report, "#pid")],
        [
            (
                word(one.service.level),
                one.service.name,
                "not ready" if one.service.state == "READY" and not one.service.ready else one.service.state,
                ago(one.service.since, one.now).removesuffix(" ago"),
                count(one.calls),
                count(one.errors),
                span(one.p95) if one.calls else "-",
                (one.service.docs or one.service.url or "-").removeprefix("http://"),
                *_pid(report, str(one.pid)),
            )
            for one in found[: 2 * SHOWN]
        ],
        [one.service.level for one in found],
    )
    _more(pen, len(found), 2 * SHOWN)


def _dependencies(pen: Pen, report: Report) -> None:
    found = dependencies(report)
    if not found:
        return
    pen.heading("Dependencies")
    words = {"unknown": "unknown", "pass": word("pass"), "warn": word("warn"), "fail": word("fail")}
    lines = [(words[one.level], one.of, one.on, one.kind, one.why) for one in found[:SHOWN]]
    pen.table(["status", "who", "needs", "kind", "as it is"], lines, [one.level for one in found])
    _more(pen, len(found))


def _queues(pen: Pen, report: Report) -> None:
    found = [
        (
            queue.name,
            one.level,
            f"{count(one.in_use)} of {count(one.cap)}",
            f"{count(one.queued)} of {count(one.bound)}",
            span(one.oldest) if one.queued else "-",
            count(one.admitted),
            count(sum(one.rejected.values())),
            *_pid(report, str(snapshot.process.pid)),
        )
        for _, snapshot in report.snapshots
        for queue in snapshot.queues
        for one in queue.levels
        if one.arrived or one.queued or one.in_use
    ]
    if found:
        pen.heading("Queues")
        head = ["seats of", "level", "#running", "#queued", "#oldest", "#let in", "#refused"]
        pen.table([*head, *_pid(report, "#pid")], found[:SHOWN])
        _more(pen, len(found))


def _data(pen: Pen, report: Report) -> None:
    lines = []
    for one in _all_services(report):
        if one.caches is not None:
            reads, memory = one.caches.reads, one.caches.memory
            kept = ", ".join(f"{it.shown}{'' if it.available else ' (down)'}" for it in one.caches.backends)
            numbers = (reads.hits, reads.misses, reads.stale, reads.failures)
            lines.append((one.name, *map(count, numbers), size(memory.size), kept or "-"))
    if lines:
        pen.heading("Data")
        pen.table(["service", "#hits", "#misses", "#stale", "#failures", "#in memory", "backends"], lines[:SHOWN])
        _more(pen, len(lines))


def _intents(pen: Pen, report: Report) -> None:
    lines = [
        (
            service.name,
            one.of,
            "strong"
            if one.strong
            else ", ".join(name for name in one.intent if name not in ("ttl", "max_stale")) or "-",
            "-" if one.ttl is None else span(one.ttl),
            span(one.max_stale) if one.max_stale else "-",
            one.backend or "-",
        )
        for service in _all_services(report)
        for one in service.intents
    ]
    if lines:
        pen.heading("Intents")
        pen.table(["service", "of", "says", "#good for", "#may be old", "kept in"], lines[:SHOWN])
        _more(pen, len(lines))


def _calls(pen: Pen, report: Report) -> None:
    proxies = [snapshot.proxy for _, snapshot in report.snapshots]
    lines = [
        (one.service, one.kind, count(one.calls), count(one.failed), count(one.retries), one.breaker.state)
        for proxy in proxies
        for one in proxy.lines
    ]
    registries = [one.registry for one in proxies if one.registry is not None]
    if not lines and not registries:
        return
    pen.heading("Calls between services")
    inside, outside = sum(one.internal for one in proxies), sum(one.external for one in proxies)
    pen.line(f"  {count(inside)} internal, {count(outside)} external")
    for registry in registries:
        names = ", ".join(one.service for one in registry.announced) or "nothing"
        pen.line(f"  the registry {'answers' if registry.available else 'does not answer'}; announced: {names}")
    if lines:
        pen.table(["to", "kind", "#calls", "#failed", "#retries", "breaker"], lines[:SHOWN])
        _more(pen, len(lines))


def _auth(pen: Pen, report: Report) -> None:
    lines = [
        (one.name, "yes" if one.auth.asks else "no", count(one.auth.accepted), count(one.auth.refused))
        for one in _all_services(report)
        if one.auth.asks or one.auth.accepted or one.auth.refused
    ]
    warned = [f"{one.name}: {each}" for one in _all_services(report) for each in one.auth.warnings]
    if not lines and not warned:
        return
    pen.heading("Auth")
    if lines:
        pen.table(["service", "asks", "#let in", "#refused"], lines[:SHOWN])
        _more(pen, len(lines))
    for each in warned[:SHOWN]:
        pen.item(word("warn"), "warn", each, ())


def _recent(pen: Pen, report: Report) -> None:
    found = sorted(
        ((one, snapshot.process.time) for _, snapshot in report.snapshots for one in snapshot.recent),
        key=lambda each: each[1] - each[0].last,
    )
    if not found:
        return
    pen.heading("Recent errors and warnings")
    lines = [
        (
            one.level.lower(),
            one.service or "-",
            count(one.count),
            ago(one.last, now),
            f"{one.error}: {one.reason}" if one.error else one.message,
        )
        for one, now in found[: SHOWN // 2]
    ]
    pen.table(["level", "service", "#times", "last", "what"], lines)
    _more(pen, len(found), SHOWN // 2)


def _pid(report: Report, said: str) -> list[str]:
    """Return a cell that tells processes apart, where there are several."""
    return [said] if len(report.snapshots) > 1 else []


def _all_services(report: Report) -> Iterator[ServiceState]:
    return (one for _, snapshot in report.snapshots for one in snapshot.services)


def _more(pen: Pen, there: int, shown: int = SHOWN) -> None:
    if there > shown:
        pen.line(f"  and {count(there - shown)} more: see --output or --json", "quiet")
