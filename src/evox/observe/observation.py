"""Observation: what one runtime knows of itself: what it counted, what goes wrong, and since when it has been there.

It hears of events and of the log; everything else is read from ``statistics()`` when somebody looks. Nothing here can
be used to change anything.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import Response

from evox import events
from evox.errors.words import named_words_of
from evox.failures import root_cause
from evox.observe.durations import Durations
from evox.observe.incidents import Incidents
from evox.observe.recent import Listening, Recent
from evox.observe.sources import Sources
from evox.observe.timeline import Timeline
from evox.services import Scope
from evox.services.health import LASTS
from evox.services.sharing import observed_by

__all__ = ["Observation"]

SETTLED: Final = 5.0  # seconds without a rejection after which a queue has recovered
QUIET: Final = 10.0  # seconds without a failure after which an endpoint has, or a task that runs on
UNASKED: Final = 300.0  # seconds after which a source or peer that nobody asks any more is no longer said to fail
_REASONS: Final = {
    "queue_full": "the queue of level {level} is full: calls are turned away",
    "time_out": "calls of level {level} wait too long for a seat and are turned away",
    "per_client": "a client has as many calls of level {level} as it may: more are turned away",
}


class Observation:
    """What one runtime knows of itself.

    Args:
        scope: The runtime.
        wall: Wall clock in seconds.

    Attributes:
        instance: Tells this runtime from all others, those of the same process included.
        born: When it was made, in wall-clock seconds.
        durations: How long calls took.
        call_finished: Counts one of them; see ``events.Counting``.
        incidents: What is wrong.
        recent: The last errors and warnings.
        timeline: What happened at the start.
        about: What is known of the process by those who run it: how it runs, where it listens.
        facts: What does not change of the process, once it was looked up.
        registries: Of metrics, by service.
        doors: Returns what is known of the open requests and connections of a service, by name.
    """

    def __init__(self, scope: Scope, wall: Callable[[], float] = time.time) -> None:
        self.scope = scope
        self.instance = secrets.token_hex(8)
        self.born, self._began = wall(), anyio.current_time()
        self.wall = wall
        self.durations = Durations()
        self.call_finished = self.durations.add
        self.incidents = Incidents(wall)
        self.recent = Recent(scope.loaded.settings.observe.recent)
        self.timeline = Timeline(wall)
        self.about: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.registries: dict[str, Any] = {}
        self.doors: Callable[[str], Mapping[str, Any]] = lambda _: {}
        self._sources: dict[str, Sources] = {}
        self._takes = {
            events.CallFailed: self._call_failed,
            events.CallRejected: self._call_rejected,
            events.TaskFinished: self._task_finished,
            events.ServiceCrashed: self._service_crashed,
            events.ServiceStateChanged: self._state_changed,
            events.SourceFailed: self._source_failed,
            events.SourceRecovered: self._source_recovered,
            events.CheckFinished: self._check_finished,
            events.BreakerMoved: self._breaker_moved,
        }

    def __repr__(self) -> str:
        return f"<Observation {self.instance} of {self.scope!r}>"

    def __call__(self, event: events.Event, /) -> None:
        """Take note of an event."""
        take: Any = self._takes.get(type(event))
        if take is not None:
            take(event)

    @property
    def uptime(self) -> float:
        """Seconds since it was made, whatever was done to the clock."""
        return anyio.current_time() - self._began

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what this context and its tasks tell, for the time of a block."""
        token = events.observe(self)
        try:
            yield
        finally:
            events.forget(token)

    @contextmanager
    def hearing_log(self) -> Iterator[None]:
        """Hear what the process logs, for the time of a block. That is for who owns the process and its logging."""
        handler = Listening(self.recent, self.scope)
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)

    async def answer(self, view: str, running: Any, request: Request) -> Response:
        """Return one view of a service; ``services.observing`` has looked at who asks."""
        from evox.observe.answers import answer  # noqa: PLC0415

        return await answer(self, view, running, request)

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _call_failed(self, event: events.CallFailed) -> None:
        method, is_request, _ = event.target.partition(" /")
        # Paths are without number, and what fails before an endpoint is reached fails for all of them.
        subject = f"{method} (none was reached)" if is_request else event.target
        self.incidents.note(event.service, "endpoint", subject, _said(event.error), settles=QUIET)

    def _call_rejected(self, event: events.CallRejected) -> None:
        reason = _REASONS[event.reason].format(level=event.level)
        self.incidents.note(event.service, "queue", f"{event.level} of {event.whose}", reason, settles=SETTLED)

    def _task_finished(self, event: events.TaskFinished) -> None:
        if event.error is not None:
            settles = QUIET if event.interval is None else None  # what does not run again tells of no success
            self.incidents.note(event.service, "task", event.task, _said(event.error), settles=settles)
        elif self.incidents.any_open:
            self.incidents.clear(event.service, "task", event.task)

    def _service_crashed(self, event: events.ServiceCrashed) -> None:
        self.incidents.note(event.service, "crash", event.service, _said(event.error), "fail")

    def _state_changed(self, event: events.ServiceStateChanged) -> None:
        self.timeline.note(event.service, f"{event.before} to {event.after}")
        if event.after == "READY":
            self.incidents.clear(event.service, "crash", event.service)
            self._sources.pop(event.service, None)
            for kind in ("task", "check", "source"):
                self.incidents.clear(event.service, kind)  # another life, with tasks and copies of its own

    def _source_failed(self, event: events.SourceFailed) -> None:
        settles = max(UNASKED, 2 * self.scope.loaded.settings.data.throttle)
        subject, count = self._sources_of(event.service).failed(event.key)
        whose = "old copies" if subject == event.key else f"old copies of {count} more"
        reason = f"{whose} are served: {_said(event.error)}"
        self.incidents.note(event.service, "source", subject, reason, settles=settles)

    def _source_recovered(self, event: events.SourceRecovered) -> None:
        subject = self._sources_of(event.service).recovered(event.key)
        if subject is not None:
            self.incidents.clear(event.service, "source", subject)

    def _sources_of(self, service: str) -> Sources:
        found = self._sources.get(service)
        if found is None:
            found = Sources(lambda subject: self.incidents.goes_on((service, "source", subject)))
            self._sources[service] = found
        return found

    def _check_finished(self, event: events.CheckFinished) -> None:
        if event.why:
            self.incidents.note(event.service, "check", event.check, event.why, "fail", settles=LASTS)
        elif self.incidents.any_open:
            self.incidents.clear(event.service, "check", event.check)

    def _breaker_moved(self, event: events.BreakerMoved) -> None:
        if event.state == "closed":
            self.incidents.clear("", "breaker", event.service)
        elif event.state == "open":
            reason = f"calls to it are stopped: {event.why}"
            self.incidents.note("", "breaker", event.service, reason, settles=UNASKED)


def _said(error: BaseException) -> str:
    return named_words_of(root_cause(error))


observed_by(Observation)
