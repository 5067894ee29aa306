"""What tests of the report share: snapshots as a process sends them, and reports of them. It asserts nothing."""

from typing import Any

from evox.observe.forms import Snapshot
from evox.observe.report import Report, Seen

__all__ = ["NOW", "call", "incident", "queue", "report", "sent", "service"]

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def service(name: str = "shop", **changes: Any) -> dict[str, Any]:
    """Return a service that is well."""
    return {
        "name": name,
        "version": "1.2.0",
        "state": "READY",
        "since": NOW - 7_200,
        "starts": 1,
        "url": "http://127.0.0.1:8001",
        "docs": "http://127.0.0.1:8001/docs",
        "requests": {"requests": 1, "total": 12},
        "caches": {
            "backends": [{"name": "memory", "shown": "memory", "operations": 14, "failures": 0, "available": True}],
            "reads": {"hits": 90, "misses": 9, "stale": 1},
            "memory": {"copies": 2, "size": 2_449, "limit": 67_108_864},
        },
        "auth": {"mode": "production", "asks": True, "keys": ["<Key a>"], "accepted": 5, "refused": 1},
        "intents": [
            {"of": "Order", "intent": {"durable": True}, "strong": True, "ttl": 60, "backend": "sqlite:///a.db"}
        ],
    } | changes


def call(name: str = "buy", **changes: Any) -> dict[str, Any]:
    """Return how calls of an endpoint went."""
    figures = {"count": 100, "errors": 2, "statuses": {"200": 98, "500": 2}, "buckets": [60, 30, 8, 0, 0, 0, 2]}
    return {
        "service": "shop",
        "endpoint": name,
        "origin": "http",
        **figures,
        "seconds": 1.5,
        "p50": 0.004,
        "p95": 0.02,
        "p99": 0.2,
        "longest": 0.21,
        **changes,
    }


def queue(**changes: Any) -> dict[str, Any]:
    """Return a level of a queue."""
    figures = {"cap": 100, "bound": 1_000, "in_use": 3, "queued": 2, "oldest": 0.4, "arrived": 50, "admitted": 47}
    return {"level": "low", **figures, "rejected": {"queue_full": 1}, "waits": [0, 4, 0, 2], **changes}


def incident(**changes: Any) -> dict[str, Any]:
    """Return something that is wrong."""
    return {
        "service": "shop",
        "kind": "source",
        "subject": "prices",
        "severity": "warn",
        "reason": "it is down",
        "since": NOW - 300,
        "last": NOW - 10,
        "count": 4,
        "until": None,
        **changes,
    }


def sent(*services: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what a process sends."""
    process = {"instance": "a1", "pid": 4711, "host": "vm", "evox": "0.1.0", "python": "3.12.1", "loop": "trio"}
    return {
        "schema": 1,
        "level": "pass",
        "process": {
            **process,
            "mode": "production",
            "root": "/srv/shop",
            "commit": "abcdef123456",
            "lock": "uv.lock 0123",
            "started": NOW - 7_201,
            "time": NOW,
            "uptime": 7_201,
            **changes.pop("process", {}),
        },
        "services": list(services),
        "calls": [call()],
        "queues": [{"name": "this process", "total": 200, "in_use": 3, "levels": [queue()]}],
        "proxy": {"internal": 4, "external": 0},
        **changes,
    }


def report(*snapshots: dict[str, Any], unseen: tuple[Seen, ...] = (), time: float = NOW) -> Report:
    """Return a report of what some processes sent, and of some that cannot be seen."""
    seen = []
    for one in snapshots:
        snapshot = Snapshot.model_validate(one)
        names = ", ".join(each.name for each in snapshot.services)
        seen.append(Seen(f"{names} (pid {snapshot.process.pid})", snapshot))
    return Report(time, (*seen, *unseen))
