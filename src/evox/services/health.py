"""Health: live, ready and startup, answered from the lifecycle, the service's own checks and its background tasks.

Liveness never asks a dependency; readiness does. A check has a deadline and its result is kept for a second, so
that a probe cannot become load. Bodies follow the health+json draft (draft-inadarei-api-health-check-06); what a
check raised goes to the log.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from evox import events
from evox.auth import enter_principal, leave_principal, system
from evox.errors.words import named_words_of
from evox.runtime import Lifecycle, Runner, State, call

__all__ = ["LASTS", "Check", "Checks", "HealthReport", "Status", "health_response"]

Status: TypeAlias = Literal["pass", "warn", "fail"]
Probe: TypeAlias = Literal["overall", "live", "ready", "startup"]
KEEP: Final = 1.0
LASTS: Final = 300.0  # seconds for which it is told how a check went
_log = logging.getLogger("evox.health")
_WORST: Final = {"pass": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class Check:
    """A named readiness check. ``function`` fails it by raising or by returning False; ``timeout`` is in seconds."""

    name: str
    function: Callable[[], Any] = field(compare=False)
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The outcome of one probe."""

    status: Status
    state: State
    checks: Mapping[str, Status]


class Checks:
    """Runs a service's checks, each at most once a second.

    Args:
        service: The service's name.
        checks: What was declared.
        lifecycle: The service's state.
        runners: Its background tasks.
        threads: Limits the threads of sync checks.
    """

    def __init__(
        self,
        service: str,
        checks: tuple[Check, ...],
        lifecycle: Lifecycle,
        runners: tuple[Runner, ...],
        threads: anyio.CapacityLimiter,
    ) -> None:
        self._service = service
        self._checks = checks
        self._lifecycle = lifecycle
        self._runners = runners
        self._threads = threads
        self._kept: dict[str, tuple[float, Status]] = {}
        self._reasons: dict[str, tuple[float, str]] = {}
        self._locks = {check.name: anyio.Lock() for check in checks}

    def __repr__(self) -> str:
        return f"<Checks of {self._service!r}: {len(self._checks)}>"

    def reasons(self) -> dict[str, str]:
        """Return why each check failed that was run in the last 300 seconds; empty where it passed.

        What nobody has asked for longer may have changed long ago.
        """
        now = anyio.current_time()
        return {name: why for name, (when, why) in self._reasons.items() if now - when <= LASTS}

    async def report(self, probe: Probe) -> HealthReport:
        """Return what one probe sees."""
        state = self._lifecycle.state
        if probe == "live":
            return HealthReport("pass" if self._lifecycle.live else "fail", state, {})
        if probe == "startup":
            return HealthReport("pass" if self._lifecycle.started else "fail", state, {})
        results: dict[str, Status] = {}
        if self._lifecycle.ready:
            async with anyio.create_task_group() as group:
                for check in self._checks:
                    group.start_soon(self._run, check, results)
        status: Status = "fail" if not self._lifecycle.ready or "fail" in results.values() else "pass"
        if probe == "overall":
            for runner in self._runners:
                if runner.failed:
                    results[f"background:{runner.task.name}"] = "fail"
                    status = max(status, "warn", key=_WORST.__getitem__)
        return HealthReport(status, state, results)

    async def _run(self, check: Check, results: dict[str, Status]) -> None:
        async with self._locks[check.name]:
            when, status = self._kept.get(check.name, (-KEEP, "pass"))
            if anyio.current_time() - when >= KEEP or check.name not in self._kept:
                status = await self._ask(check)
                self._kept[check.name] = (anyio.current_time(), status)
        results[check.name] = status

    async def _ask(self, check: Check) -> Status:
        caller = enter_principal(system(self._service))  # whoever asks first, the answer is for all
        try:
            with anyio.fail_after(check.timeout):
                answer = await call(check.function, threads=self._threads, abandon=True, own=True)
        except TimeoutError:
            _log.warning("health check %s/%s gave no answer within %g s", self._service, check.name, check.timeout)
            return self._found(check, f"no answer within {check.timeout:g} s")
        except Exception as error:  # noqa: BLE001  logged; a failing check is an answer
            _log.exception("health check %s/%s failed", self._service, check.name)
            return self._found(check, named_words_of(error))
        finally:
            leave_principal(caller)
        return self._found(check, "it says so" if answer is False else "")

    def _found(self, check: Check, why: str) -> Status:
        """Note what came of a check. Why it failed is for operators; probes are told that it did."""
        self._reasons[check.name] = (anyio.current_time(), why)
        events.notify(events.CheckFinished(self._service, check.name, why))
        return "fail" if why else "pass"


def health_response(request: Request, service: str, version: str, report: HealthReport) -> Response:
    """Write a report: plain text for a caller without an Accept header, else health+json. 503 when it fails."""
    status = 503 if report.status == "fail" else 200
    headers = {"cache-control": "no-store"}
    if "accept" not in request.headers:
        return PlainTextResponse(report.status, status, headers)
    body: dict[str, Any] = {
        "status": report.status,
        "serviceId": service,
        "version": version,
        "notes": [f"state: {report.state}"],
    }
    if report.checks:
        body["checks"] = {name: [{"status": result}] for name, result in sorted(report.checks.items())}
    return JSONResponse(body, status, headers, media_type="application/health+json")
