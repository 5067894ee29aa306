"""Metrics: what is counted, in OpenMetrics, by a collector that reads it when it is scraped: requests pay nothing more.

Each service's endpoint gives what is its own and what is the process's. Names begin with ``evox_`` and end with their
unit: seconds, bytes, ratio, or a total.
"""

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from evox.observe import views
from evox.observe.durations import BUCKETS
from evox.observe.info import info
from evox.observe.observation import Observation
from evox.runtime import State
from evox.scheduling import WAITS

__all__ = ["ServiceCollector", "metrics_of"]

_BREAKER: Final = ("closed", "open", "half_open")
_ANYTHING: Final = ("", "*/*")


def metrics_of(observation: Observation, service: str, accept: str) -> tuple[bytes, str]:
    """Return the metrics of a service and its process, and their media type.

    Args:
        observation: Of its runtime.
        service: Its name.
        accept: What the client takes; OpenMetrics if it does not say.
    """
    registry: CollectorRegistry | None = observation.registries.get(service)
    if registry is None:
        registry = observation.registries[service] = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(ServiceCollector(observation, service))
    if accept in _ANYTHING:
        encode: Any = generate_latest
        return encode(registry), CONTENT_TYPE_LATEST
    encode, media = choose_encoder(accept)
    return encode(registry), media


class ServiceCollector:
    """Reads what one service and its process have counted.

    Args:
        observation: Of its runtime.
        service: Its name.
    """

    def __init__(self, observation: Observation, service: str) -> None:
        self._observation = observation
        self._service = service

    def __repr__(self) -> str:
        return f"<ServiceCollector of {self._service!r}>"

    def collect(self) -> Iterator[Metric]:
        """Yield all families. Called at each scrape."""
        running = next((one for one in self._observation.scope.lives if one.name == self._service), None)
        if running is None:
            return
        yield from self._of_process()
        yield from self._of_service(running)
        yield from self._of_calls()
        yield from self._of_queues()
        yield from self._of_background(running)
        yield from self._of_data(running)
        yield from self._of_auth(running)
        yield from self._of_proxy()

    def _of_process(self) -> Iterator[Metric]:
        facts = info(self._observation)
        about = InfoMetricFamily("evox", "What runs.")
        about.add_metric([], {name: str(facts[name]) for name in ("evox", "python", "loop", "mode", "instance")})
        yield about
        yield _gauge("evox_uptime_seconds", "Since the runtime was made.", facts["uptime"])
        yield _counter("evox_log_entries", "Warnings and errors in the log.", self._observation.recent.total)
        open_now = sum(one.until is None for one in self._observation.incidents.all())
        yield _gauge("evox_incidents_open", "What is wrong now.", open_now)

    def _of_service(self, running: Any) -> Iterator[Metric]:
        seen, mine = views.state(running, self._observation), [self._service]
        states = StateSetMetricFamily("evox_service_state", "Where the service is in its life.", labels=["service"])
        states.add_metric(mine, {str(one): str(one) == seen["state"] for one in State})
        yield states
        yield _counter("evox_service_starts", "Starts, restarts after crashes included.", seen["starts"], service=mine)
        yield _gauge("evox_service_ready", "Whether readiness is 200.", int(seen["ready"]), service=mine)
        jobs = seen["jobs"]
        yield _gauge("evox_jobs_running", "Jobs that run now.", jobs["count"], service=mine)
        ended = CounterMetricFamily("evox_jobs", "Jobs that ended.", labels=["service", "outcome"])
        for outcome in ("finished", "failed"):
            ended.add_metric([*mine, outcome], jobs[outcome])
        yield ended
        requests = seen.get("requests")
        if requests is not None:
            opened = GaugeMetricFamily("evox_requests_open", "Requests that are open now.", labels=["service", "kind"])
            for kind in ("requests", "streams", "websockets"):
                opened.add_metric([*mine, kind], requests[kind])
            yield opened
            total = CounterMetricFamily("evox_requests", "Requests by what became of them.", labels=["service", "fate"])
            for fate in ("total", "refused", "failed", "cut", "left", "too_large", "too_slow"):
                total.add_metric([*mine, "taken" if fate == "total" else fate], requests[fate])
            yield total
        connections = seen.get("connections")
        if connections is not None:
            yield _gauge("evox_connections_open", "Open now.", connections["connections"], service=mine)
            yield _counter("evox_connections", "Accepted.", connections["total"], service=mine)
            blamed = CounterMetricFamily("evox_client_faults", "What clients did wrong.", labels=["service", "reason"])
            for reason, count in connections["complaints"].items():
                blamed.add_metric([*mine, reason], count)
            yield blamed

    def _of_calls(self) -> Iterator[Metric]:
        labels = ["service", "endpoint", "origin", "status"]
        family = HistogramMetricFamily(
            "evox_call_duration_seconds", "How long calls of endpoints took, with their answers.", labels=labels
        )
        for key, cell in self._observation.durations.of_service(self._service):
            family.add_metric(
                [key.service, key.endpoint, key.origin, str(key.status)], _buckets(BUCKETS, cell.counts), cell.seconds
            )
        yield family

    def _of_queues(self) -> Iterator[Metric]:
        by = ["scheduler", "level"]
        gauges = {
            "seats_in_use": GaugeMetricFamily("evox_seats_in_use", "Seats held now.", labels=by),
            "cap": GaugeMetricFamily("evox_seats_limit", "Seats that a level may have.", labels=by),
            "queued": GaugeMetricFamily("evox_queue_length", "Calls that wait for a seat.", labels=by),
            "bound": GaugeMetricFamily("evox_queue_limit", "How many may wait.", labels=by),
            "oldest": GaugeMetricFamily("evox_queue_oldest_wait_seconds", "Since when the first waits.", labels=by),
        }
        waits = HistogramMetricFamily(
            "evox_queue_wait_seconds", "How long calls waited for their seat; those that did not are 0.", labels=by
        )
        outcomes = CounterMetricFamily("evox_admissions", "Calls by what became of them.", labels=[*by, "outcome"])
        for scheduler in views.queues(self._observation.scope.schedulers):
            for level in scheduler["levels"]:
                where = [scheduler["name"], level["level"]]
                gauges["seats_in_use"].add_metric(where, level["in_use"])
                for name in ("cap", "queued", "bound", "oldest"):
                    gauges[name].add_metric(where, level[name])
                at_once = level["admitted"] - sum(level["waits"])
                counts = [at_once + level["waits"][0], *level["waits"][1:]]
                waits.add_metric(where, _buckets(WAITS, counts), level["waited"])
                for outcome in ("admitted", "cancelled"):
                    outcomes.add_metric([*where, outcome], level[outcome])
                for reason in ("queue_full", "time_out", "per_client"):
                    outcomes.add_metric([*where, reason], level["rejected"].get(reason, 0))
        yield from (*gauges.values(), waits, outcomes)

    def _of_background(self, running: Any) -> Iterator[Metric]:
        by = ["service", "task"]
        runs = CounterMetricFamily("evox_background_runs", "Runs of background tasks.", labels=by)
        failures = CounterMetricFamily("evox_background_failures", "Runs that failed.", labels=by)
        last = GaugeMetricFamily("evox_background_last_run_timestamp_seconds", "When it ran last.", labels=by)
        took = GaugeMetricFamily("evox_background_last_duration_seconds", "How long that took.", labels=by)
        given_up = GaugeMetricFamily("evox_background_given_up", "Whether it is not run again.", labels=by)
        for one in views.scheduled(running):
            mine = [self._service, one["name"]]
            runs.add_metric(mine, one["runs"])
            failures.add_metric(mine, one["failures"])
            given_up.add_metric(mine, int(one["state"] == "failed"))
            if one["last_run"] is not None:
                last.add_metric(mine, one["last_run"])
            if one["last_duration"] is not None:
                took.add_metric(mine, one["last_duration"])
        yield from (runs, failures, last, took, given_up)

    def _of_data(self, running: Any) -> Iterator[Metric]:
        seen, mine = views.caches(running), [self._service]
        if seen is None:
            return
        reads = CounterMetricFamily("evox_cache_reads", "Reads with a source.", labels=["service", "verdict"])
        for verdict in ("hits", "misses", "stale"):
            reads.add_metric([*mine, verdict], seen["reads"][verdict])
        yield reads
        yield _counter("evox_cache_load_failures", "Sources that failed.", seen["reads"]["failures"], service=mine)
        yield _gauge(
            "evox_cache_sources_left_alone", "Sources not asked now.", seen["reads"]["throttled"], service=mine
        )
        yield _gauge("evox_cache_loads_running", "Sources asked now.", len(seen["flights"]["running"]), service=mine)
        memory = seen["memory"]
        yield _gauge("evox_memory_size_bytes", "What is kept in memory.", memory["size"], service=mine)
        yield _gauge("evox_memory_limit_bytes", "What it may be.", memory["limit"], service=mine)
        yield _counter("evox_memory_evictions", "Copies that gave way.", memory["evicted"], service=mine)
        near = CounterMetricFamily("evox_near_reads", "Reads of copies in memory.", labels=["service", "verdict"])
        for verdict in ("hits", "misses"):
            near.add_metric([*mine, verdict], sum(one[verdict] for one in seen["near"]))
        yield near
        by = ["service", "backend"]
        done = CounterMetricFamily("evox_backend_operations", "Operations of backends.", labels=by)
        failed = CounterMetricFamily("evox_backend_failures", "Operations that failed.", labels=by)
        up = GaugeMetricFamily("evox_backend_available", "Whether it answered last.", labels=by)
        for one in seen["backends"]:
            done.add_metric([*mine, one["shown"]], one["operations"])
            failed.add_metric([*mine, one["shown"]], one["failures"])
            up.add_metric([*mine, one["shown"]], int(one["available"]))
        yield from (done, failed, up)
        kept = CounterMetricFamily("evox_idempotency", "Keyed requests.", labels=["service", "outcome"])
        for outcome in ("claimed", "kept", "replayed", "freed", "conflicts", "mismatches", "unkept"):
            kept.add_metric([*mine, outcome], seen["idempotency"][outcome])
        yield kept

    def _of_auth(self, running: Any) -> Iterator[Metric]:
        seen = views.auth(running)
        found = CounterMetricFamily("evox_auth_callers", "Callers that showed who they are.", labels=["outcome"])
        for outcome in ("accepted", "refused"):
            found.add_metric([outcome], seen[outcome])
        yield found

    def _of_proxy(self) -> Iterator[Metric]:
        lines = views.proxy(self._observation)["lines"]
        by = ["target", "kind"]
        made = CounterMetricFamily("evox_proxy_calls", "Calls to other services.", labels=["caller", *by])
        failed = CounterMetricFamily("evox_proxy_failures", "Calls that failed.", labels=by)
        again = CounterMetricFamily("evox_proxy_retries", "Attempts after the first.", labels=by)
        breaker = StateSetMetricFamily("evox_breaker_state", "Whether calls are let through.", labels=["target"])
        closed = GaugeMetricFamily("evox_breaker_open_seconds", "Until one is tried again.", labels=["target"])
        for one in lines:
            where = [one["service"], one["kind"]]
            for caller, count in one["callers"].items():
                made.add_metric([caller, *where], count)
            failed.add_metric(where, one["failed"])
            again.add_metric(where, one["retries"])
            breaker.add_metric([one["service"]], {state: one["breaker"]["state"] == state for state in _BREAKER})
            closed.add_metric([one["service"]], one["breaker"]["opens_for"])
        yield from (made, failed, again, breaker, closed)


def _buckets(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Return cumulative buckets, as the format wants them."""
    total, found = 0, []
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _gauge(name: str, text: str, value: float, **labels: list[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric([one for values in labels.values() for one in values], value)
    return family


def _counter(name: str, text: str, value: float, **labels: list[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=list(labels))
    family.add_metric([one for values in labels.values() for one in values], value)
    return family
