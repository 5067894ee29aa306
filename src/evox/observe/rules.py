"""Rules: what a snapshot means, as findings for people: what is wrong or worth knowing, why, and what to do.

Pure functions of a snapshot, so the process itself, the report and the dashboard say the same of the same facts. Green
is no finding, yellow is ``warn``, red is ``fail``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

__all__ = ["Finding", "Level", "findings", "level_of", "rank", "title", "worst"]

Level: TypeAlias = Literal["pass", "warn", "fail"]
MOST: Final = 100
_RANK: Final = {"pass": 0, "warn": 1, "fail": 2}
_WAITED: Final = 1.0  # seconds that a call has waited for a seat and that are worth a word
_FIXES: Final = {
    "source": "mend what it is made of; old copies are served until max_stale is over",
    "queue": "raise [tool.evox.priority], lower what is less important, or make what holds the seats quicker",
    "task": "mend it; it is run again by its policy",
    "crash": "mend it; the service is restarted with backoff",
    "endpoint": "mend it; the log has the whole error",
    "check": "mend what it checks; readiness is 503 until then",
    "breaker": "mend the service that is called; it is asked again by and by",
}


_TITLES: Final = {
    "source": "the source of {} fails",
    "queue": "level {} turns calls away",
    "task": "task {} fails",
    "crash": "it crashed",
    "endpoint": "endpoint {} fails",
    "check": "check {} fails",
    "breaker": "calls to {} are stopped",
}


def title(kind: str, subject: str) -> str:
    """Return what an incident is, in a few words for people."""
    known = _TITLES.get(kind)
    return f"{kind} {subject}" if known is None else known.format(subject)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing. ``service`` is empty for the process; ``since`` is wall-clock seconds, or None."""

    level: Level
    service: str
    what: str
    why: str = ""
    fix: str = ""
    since: float | None = None


def findings(snapshot: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a snapshot means, the worst first."""
    found = [*_of_services(snapshot), *_of_incidents(snapshot), *_of_data(snapshot), *_of_queues(snapshot)]
    found += [*_of_registry(snapshot), *_of_process(snapshot)]
    return [asdict(one) for one in sorted(found, key=lambda one: -_RANK[one.level])[:MOST]]


def level_of(found: list[dict[str, Any]], service: str | None = None) -> Level:
    """Return the worst level of findings: of one service, or of all."""
    return worst(one["level"] for one in found if service is None or one["service"] == service)


def rank(level: Level) -> int:
    """Return how bad a level is, 0 if not at all."""
    return _RANK[level]


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of some levels."""
    return max(levels, key=_RANK.__getitem__, default="pass")


def _of_services(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    began = {(one["service"], one["subject"]): one["since"] for one in snapshot["incidents"] if one["kind"] == "task"}
    for one in snapshot["services"]:
        name, state = one["name"], one["state"]
        if state == "FAILED":
            why = f"it crashed too often: {one['reason']}"
            yield Finding("fail", name, "it is given up", why, "mend it and start it again", one["since"])
        elif state in ("RESTARTING", "STARTING", "NEW", "STOPPED"):
            yield Finding("fail", name, f"it is {state.lower()}", one["reason"], "", one["since"])
        elif state == "DRAINING":
            yield Finding("warn", name, "it is draining", "it was told to end", "", one["since"])
        for task in one["background"]:
            if task["state"] == "failed":
                why = f"it failed {task['failures']} times: {task['last_error']}"
                what, since = f"background task {task['name']} is not run again", began.get((name, task["name"]))
                yield Finding("fail", name, what, why, "mend it and restart the service", since)


def _of_incidents(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    failed = {
        (one["name"], task["name"])
        for one in snapshot["services"]
        for task in one["background"]
        if task["state"] == "failed"
    }
    given_up = {one["name"] for one in snapshot["services"] if one["state"] == "FAILED"}
    for one in snapshot["incidents"]:
        is_known = one["kind"] == "task" and (one["service"], one["subject"]) in failed
        if is_known or (one["kind"] in ("task", "crash") and one["service"] in given_up):
            continue  # it is said already
        if one["until"] is None:
            what = title(one["kind"], one["subject"])
            often = f" ({one['count']} times)" if one["count"] > 1 else ""
            yield Finding(
                one["severity"], one["service"], what, one["reason"] + often, _FIXES.get(one["kind"], ""), one["since"]
            )


def _of_data(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    for one in snapshot["services"]:
        caches = one["caches"]
        if caches is None:
            continue
        for backend in caches["backends"]:
            if not backend["available"]:
                why = f"{backend['failures']} operations failed"
                yield Finding(
                    "fail", one["name"], f"{backend['name']} does not answer", why, f"look at {backend['shown']}"
                )
        if any(not near["on"] for near in caches["near"]):
            why = "it is not told of changes, so every read goes to the backend"
            yield Finding("warn", one["name"], "copies in memory are off", why)
        if snapshot["process"]["workers"] > 1 and any(one["name"] == "memory" for one in caches["backends"]):
            why = f"{snapshot['process']['workers']} workers keep data in memory, each for itself"
            fix = "name a shared backend in [tool.evox.data]"
            yield Finding("warn", one["name"], "data is not shared", why, fix)


def _of_queues(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    for scheduler in snapshot["queues"]:
        for level in scheduler["levels"]:
            if level["oldest"] >= _WAITED:
                why = f"the first of {level['queued']} in the queue waits since {level['oldest']:.1f} s"
                what = f"calls of level {level['level']} wait for seats of {scheduler['name']}"
                yield Finding("warn", "", what, why, _FIXES["queue"])


def _of_registry(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    registry = snapshot["proxy"]["registry"]
    if registry is not None and not registry["available"]:
        why = "where services run cannot be looked up; what is known of them is used for a while"
        yield Finding("warn", "", "the registry does not answer", why, "look at proxy.registry")


def _of_process(snapshot: Mapping[str, Any]) -> Iterator[Finding]:
    process = snapshot["process"]
    asks = any(one["auth"]["asks"] for one in snapshot["services"])
    is_far = process["mode"] == "production" and not process.get("loopback", True)
    if is_far and asks and not process["tls"]:
        why = f"tokens come over plain HTTP to {process['address']}"
        fix = "set serving.certfile, or let a proxy on this machine end TLS"
        yield Finding("warn", "", "tokens can be read on their way", why, fix)
    for one in snapshot["services"]:
        for warning in one["auth"]["warnings"]:
            yield Finding("warn", one["name"], "auth", warning)
        if is_far and not one["auth"]["asks"]:
            yield Finding("warn", one["name"], "nobody is asked who calls", "and it is reached from other machines")
