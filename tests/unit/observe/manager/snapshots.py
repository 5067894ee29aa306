"""Snapshots for tests of the dashboard: small, right, and changed where a test says so. Nothing asserts anything."""

from typing import Any

from evox.observe.forms import Snapshot

__all__ = ["call", "level", "line", "said", "service", "snap"]


def call(count: int, *, errors: int = 0, endpoint: str = "get", buckets: list[int] | None = None) -> dict[str, Any]:
    """Return the calls of an endpoint; all of them in the first bucket unless it is said."""
    counted = [count] if buckets is None else buckets
    return {"service": "users", "endpoint": endpoint, "origin": "http"} | {
        "count": count,
        "errors": errors,
        "buckets": counted,
        "statuses": {"200": count},
    }


def level(name: str = "high", **given: Any) -> dict[str, Any]:
    """Return a level of a scheduler."""
    return {"level": name, "cap": 4, "bound": 8, "in_use": 1, "queued": 2} | given


def service(name: str = "users", **given: Any) -> dict[str, Any]:
    """Return a service that is ready."""
    auth = {"mode": "development", "asks": False}
    return {"name": name, "state": "READY", "since": 1.0, "starts": 1, "auth": auth} | given


def line(target: str, callers: dict[str, int], *, state: str = "closed", kind: str = "local") -> dict[str, Any]:
    """Return the calls to a service, by who makes them."""
    breaker = {"state": state, "why": "it failed" if state != "closed" else ""}
    return {"service": target, "kind": kind, "calls": sum(callers.values()), "failed": 0, "retries": 0} | {
        "callers": callers,
        "breaker": breaker,
    }


def said(instance: str = "one", uptime: float = 10.0, *, workers: int = 1, **given: Any) -> dict[str, Any]:
    """Return what a process answers."""
    process = {"instance": instance, "pid": 7, "host": "box", "evox": "0.1.0", "python": "3.11.7", "loop": "trio"}
    process |= {"mode": "development", "started": 1.0, "time": 2.0, "uptime": uptime, "workers": workers}
    return {"schema": 1, "level": "pass", "process": process, "services": [service()]} | given


def snap(instance: str = "one", uptime: float = 10.0, **given: Any) -> Snapshot:
    """Return what a process answers, as it is read."""
    return Snapshot.model_validate(said(instance, uptime, **given))
