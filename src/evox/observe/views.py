"""Views: what there is to see of one running service, each as plain data that JSON can hold.

Every view is made when somebody looks, of ``statistics()`` and of what was declared; texts that came from errors or
from configuration have their secrets taken out. Durations are seconds, sizes bytes, times of day seconds since 1970.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from evox.config import without_secrets
from evox.errors.secrets import masked
from evox.observe.durations import Cell, Key, quantile
from evox.observe.incidents import shortened
from evox.observe.mappings import mappings_of, said_of
from evox.observe.observation import Observation
from evox.observe.tasks import MOST, shown_name
from evox.scheduling import Scheduler
from evox.services import Running
from evox.services.caching import caching_of

__all__ = ["auth", "caches", "calls", "errors", "intents", "mappings", "proxy", "queues", "scheduled", "state"]


def state(running: Running, observation: Observation) -> dict[str, Any]:
    """Return where a service is in its life, and what of it is open now."""
    service, lifecycle = running.service, running.lifecycle.statistics()
    checks = {name: {"status": "fail" if why else "pass", "why": shortened(why)} for name, why in _checks(running)}
    return {
        "name": service.name,
        "version": service.version,
        "state": str(lifecycle.state),
        "since": lifecycle.since,
        "starts": lifecycle.starts,
        "reason": lifecycle.reason,
        "live": running.lifecycle.live,
        "ready": running.lifecycle.ready and not any(one["why"] for one in checks.values()),
        "checks": checks,
        "depends_on": list(service.settings.depends_on),
        "jobs": _jobs(running),
        **observation.doors(service.name),
    }


def _jobs(running: Running) -> dict[str, Any]:
    jobs = running.statistics().jobs
    names = [shown_name(one) for one in jobs.running[:MOST]]
    return {"running": names, "count": len(jobs.running), "finished": jobs.finished, "failed": jobs.failed}


def _checks(running: Running) -> Iterable[tuple[str, str]]:
    return sorted(running.health.reasons().items())


def calls(found: Iterable[tuple[Key, Cell]]) -> list[dict[str, Any]]:
    """Return how calls went: by endpoint, all statuses of it together, with their durations."""
    merged: dict[tuple[str, str, str], tuple[Cell, dict[str, int]]] = {}
    for key, cell in found:
        whole, statuses = merged.setdefault((key.service, key.endpoint, key.origin), (Cell(), {}))
        whole.merge(cell)
        statuses[str(key.status)] = statuses.get(str(key.status), 0) + cell.count
    return [
        {
            "service": service,
            "endpoint": endpoint,
            "origin": origin,
            "count": whole.count,
            "errors": sum(count for status, count in statuses.items() if int(status) >= 500),
            "statuses": statuses,
            "seconds": whole.seconds,
            "buckets": whole.counts,
            "p50": quantile(whole, 0.5),
            "p95": quantile(whole, 0.95),
            "p99": quantile(whole, 0.99),
            "longest": whole.longest,
        }
        for (service, endpoint, origin), (whole, statuses) in merged.items()
    ]


def mappings(running: Running) -> list[dict[str, Any]]:
    """Return the endpoints of a service, with all that was declared of them."""
    return mappings_of(running.service)


def intents(running: Running) -> list[dict[str, Any]]:
    """Return the intents in use, of types and names that were touched and of endpoints, and where values live."""
    found = []
    if (data := running.maybe_data) is not None:
        for home in data.homes:
            store = data.stores.find(home)
            found.append(
                {
                    "of": home.label,
                    "intent": said_of(home.intent),
                    "strong": home.policy.strong,
                    "ttl": home.policy.ttl,
                    "max_stale": home.policy.max_stale,
                    "backend": None if store is None else store.backend.statistics().shown,
                }
            )
    for row in running.service.endpoints:
        kept = caching_of(row)
        if kept is not None:
            intent, policy = kept
            entry = {"of": f"endpoint {row.name!r}", "intent": said_of(intent), "strong": policy.strong}
            found.append(entry | {"ttl": policy.ttl, "max_stale": policy.max_stale, "backend": None})
    return found


def caches(running: Running) -> dict[str, Any] | None:
    """Return reads by how they ended, backends, and copies in memory; None while the service is not started."""
    data = running.maybe_data
    if data is None:
        return None
    found = asdict(data.statistics())
    for backend in found["backends"]:
        backend["shown"], backend["detail"] = masked(backend["shown"]), shortened(backend["detail"])
    memory = asdict(running.runtime.memory_of(running.service).shelf.statistics())
    answers = asdict(running.first_answers.statistics())
    return {**found, "memory": memory, "idempotency": answers}


def scheduled(running: Running) -> list[dict[str, Any]]:
    """Return the background tasks: what they do now, and how they went."""
    found = []
    for runner in running.runners:
        one = asdict(runner.statistics())
        one["last_error"] = None if one["last_error"] is None else shortened(one["last_error"])
        found.append(one | {"on_error": runner.task.on_error})
    return found


def queues(schedulers: Iterable[Scheduler]) -> list[dict[str, Any]]:
    """Return seats and queues, level by level."""
    found = []
    for scheduler in schedulers:
        seen = scheduler.statistics()
        levels = [asdict(one) | {"level": one.level.label, "rejected": dict(one.rejected)} for one in seen.levels]
        found.append(
            {"name": seen.name, "total": seen.total, "in_use": seen.in_use, "clients": seen.clients, "levels": levels}
        )
    return found


def proxy(observation: Observation) -> dict[str, Any]:
    """Return the calls to other services: by target, with what is known of each, and by who makes them."""
    from evox.service_proxy import Switchboard  # noqa: PLC0415  not needed where nothing is called

    board = observation.scope.room(Switchboard)
    found = asdict(board.statistics())
    for line in found["lines"]:
        line["breaker"]["why"] = shortened(line["breaker"]["why"])
    registry = None if board.registry is None else asdict(board.registry.statistics())
    peers = {
        name: {"url": None if peer.url is None else without_secrets(peer.url), "trust": peer.trust}
        for name, peer in observation.scope.loaded.settings.peers.items()
    }
    return {**found, "registry": registry, "peers": peers}


def auth(running: Running) -> dict[str, Any]:
    """Return who was accepted and refused, and what is worth a warning."""
    seen = running.authority.statistics()
    recent = [asdict(one) | {"reason": shortened(one.reason)} for one in seen.recent if one.service == running.name]
    asks = list(running.service.asking)
    warnings = [shortened(one) for one in running.authority.notes()]
    return {
        "mode": seen.mode,
        "asks": bool(asks),
        "keys": list(seen.keys),
        "accepted": seen.accepted,
        "refused": seen.refused,
        "recent": recent,
        "warnings": warnings,
    }


def errors(observation: Observation, service: str | None = None) -> dict[str, Any]:
    """Return what is and was wrong, and the last errors and warnings of the log; of one service, or of all."""
    wanted = (service, "")
    known = [asdict(one) for one in observation.incidents.all()]
    recent = [asdict(one) for one in observation.recent.all()]
    return {
        "incidents": [one for one in known if service is None or one["service"] in wanted],
        "recent": [one for one in recent if service is None or one["service"] in wanted],
        "total": observation.recent.total,
        "forgotten": observation.recent.forgotten,
    }
