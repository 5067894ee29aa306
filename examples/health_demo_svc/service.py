"""A service that watches itself, and tells others how it is.

It prints labels on a printer that may jam. A check makes readiness say so, a background task looks at the service every
second and notes what it finds, and ``/status`` shows that to people. What there is to see below ``/_evox`` is switched
on by configuration alone.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from evox import Body, HTTPException, Param, ServiceBuilder, inject
from evox.observe import look

log = logging.getLogger("health_demo")


class Printer:
    """Somebody else's machine. It can be jammed, to see what happens then."""

    def __init__(self) -> None:
        self.is_jammed = False
        self.printed: list[str] = []

    async def print(self, label: str) -> None:
        if self.is_jammed:
            raise OSError("the printer is jammed")
        self.printed.append(label)


class Diary:
    """What the service has found when it looked at itself: the last few entries."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def note(self, text: str) -> None:
        if not self.entries or self.entries[-1] != text:
            self.entries = [*self.entries[-9:], text]
            log.info("%s", text)


svc = ServiceBuilder("health-demo-service", version="1.0.0").port(8005)


@svc.post("/labels/{label}", status_code=201)
async def print_label(label: str = Param()) -> dict[str, str]:
    try:
        await inject(Printer).print(label)
    except OSError as error:
        raise HTTPException(503, str(error)) from error
    return {"printed": label}


@svc.get("/status", priority="high")
async def status() -> dict[str, Any]:
    """How the service is, in the words of the dashboard."""
    mine = next(one for one in look().services if one.name == svc.name)
    return {
        "level": mine.level,
        "state": mine.state,
        "checks": {name: check.status for name, check in mine.checks.items()},
        "findings": findings(),
        "diary": inject(Diary).entries,
    }


def findings() -> list[str]:
    return [f"{one.what}: {one.why}" for one in look().findings if one.service == svc.name]


@svc.put("/printer")
async def handle_printer(jammed: bool = Body(embed=True)) -> dict[str, bool]:
    inject(Printer).is_jammed = jammed
    return {"jammed": jammed}


@svc.health_check("printer")
async def printer_works() -> None:
    """Readiness asks this, at most once a second; liveness never does."""
    if inject(Printer).is_jammed:
        raise OSError("the printer is jammed")


@svc.background_task(interval="1s")
async def watch() -> None:
    """Look at the service as the dashboard would, and keep a diary of it."""
    inject(Diary).note("; ".join(findings()) or "all is well")


@svc.background_task(interval="1h")
async def count_labels() -> None:
    log.info("%d labels by %s", len(inject(Printer).printed), datetime.now(UTC).isoformat(timespec="seconds"))
