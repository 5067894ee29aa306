"""The page of metrics: what a service that uses everything gives when it is scraped, without the numbers."""

from collections.abc import Iterator
from typing import Final

import anyio
from prometheus_client.core import Metric

from evox import proxy, service
from evox.observe.metrics import ServiceCollector
from evox.testing import running

__all__ = ["metrics_page"]

HEAD: Final = """\
# Metrics

What `/_evox/metrics` of each service gives, in OpenMetrics, or as Prometheus reads it. Names end with their unit; a
counter with `_total`. What they are good for is in [Observation](../observation.md#metrics).

"""
TAIL: Final = """
A histogram has `_bucket` with `le`, `_count` and `_sum`. Beside these are those of the process itself, which
`prometheus_client` makes: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds` and the
like on Linux, and `python_info`.
"""
# Labels whose values are always the same few.
SHOWN: Final = frozenset({"fate", "level", "outcome", "reason", "verdict"})


def metrics_page() -> str:
    """Return the page."""
    rows = [_row(one) for one in anyio.run(_scraped)]
    return f"{HEAD}| name | type | labels | meaning |\n|---|---|---|---|\n{''.join(rows)}{TAIL}"


async def _scraped() -> list[Metric]:
    svc, other = service("reference").build(), service("other").build()

    @other.get("/")
    async def read() -> int:
        return 1

    async with running(svc, other, sockets=True) as env:
        await proxy.other.read()  # so that there is a breaker
        return list(ServiceCollector(env.observation, svc.name).collect())


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    name = f"{family.name}_info" if family.type == "info" else name
    return f"| `{name}` | {family.type} | {', '.join(_labels(family))} | {family.documentation} |\n"


def _labels(family: Metric) -> Iterator[str]:
    names = getattr(family, "_labelnames", ())
    if family.type in ("stateset", "info"):  # their samples carry one more, or other ones
        names = list(dict.fromkeys(name for sample in family.samples for name in sample.labels)) or [
            *names,
            family.name,
        ]
    for name in names:
        values = dict.fromkeys(sample.labels[name] for sample in family.samples if name in sample.labels)
        is_shown = values and (
            name in SHOWN or (name == "kind" and "requests" in values) or name == family.name != "evox"
        )
        yield f"`{name}` ({', '.join(f'`{one}`' for one in values)})" if is_shown else f"`{name}`"
