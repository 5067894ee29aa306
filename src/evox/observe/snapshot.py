"""Snapshot: all that changes in a process, at one moment, as plain data with a version of its form.

It is what the report is made of and what the dashboard polls once a second, so what does not change (endpoints,
configuration) and what costs more to find out (tasks) is not in it: those are views of their own.
"""

from typing import Any, Final

from evox.observe import views
from evox.observe.info import info
from evox.observe.observation import Observation
from evox.observe.rules import findings, level_of
from evox.services import Running

__all__ = ["SCHEMA", "snapshot"]

SCHEMA: Final = 1


def snapshot(observation: Observation) -> dict[str, Any]:
    """Return the state of a process.

    Returns:
        ``schema``, ``process``, ``services``, ``calls``, ``queues``, ``proxy``, ``incidents``, ``recent``, ``findings``
        and ``level``, which is ``"pass"``, ``"warn"`` or ``"fail"``.
    """
    scope = observation.scope
    errors = views.errors(observation)
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "process": info(observation),
        "services": [_service(one, observation) for one in scope.lives],
        "calls": views.calls(observation.durations),
        "queues": views.queues(scope.schedulers),
        "proxy": views.proxy(observation),
        "incidents": errors["incidents"],
        "recent": errors["recent"],
    }
    found["findings"] = findings(found)
    for one in found["services"]:
        one["level"] = level_of(found["findings"], one["name"])
    found["level"] = level_of(found["findings"])
    return found


def _service(running: Running, observation: Observation) -> dict[str, Any]:
    found = views.state(running, observation)
    return found | {
        "background": views.scheduled(running),
        "caches": views.caches(running),
        "auth": views.auth(running),
        "intents": views.intents(running),
        "threads": running.threads.borrowed_tokens,
    }
