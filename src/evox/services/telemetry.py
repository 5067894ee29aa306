"""Telemetry: whether FastAPI would tell OpenTelemetry of a request. Asking FastAPI takes longer than many an answer.

Its answer changes only with the providers that a process has installed. Those are variables of OpenTelemetry's API,
and FastAPI is asked again when one of them is another; should they be gone one day, it is asked each time.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["Telemetry"]

_PROVIDERS: Final = (
    ("opentelemetry.trace", "_TRACER_PROVIDER"),
    ("opentelemetry.metrics._internal", "_METER_PROVIDER"),
    ("opentelemetry._logs._internal", "_LOGGER_PROVIDER"),
)
_GONE: Final[Mapping[str, Any]] = {}
_NEVER: Final = object()


class Telemetry:
    """What FastAPI says of one app.

    Args:
        ask: Asks it.
    """

    __slots__ = ("_answer", "_ask", "_logs", "_metrics", "_names", "_traces")

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._answer = False
        self._names = [vars(sys.modules[module]) if module in sys.modules else _GONE for module, _ in _PROVIDERS]
        self._traces = self._metrics = self._logs = _NEVER

    def __repr__(self) -> str:
        return f"<Telemetry {'on' if self.is_on() else 'off'}>"

    def is_on(self) -> bool:
        """Whether FastAPI tells of requests."""
        traces, metrics, logs = self._names
        try:
            if (
                traces["_TRACER_PROVIDER"] is self._traces
                and metrics["_METER_PROVIDER"] is self._metrics
                and logs["_LOGGER_PROVIDER"] is self._logs
            ):
                return self._answer
        except KeyError:  # one of them is gone
            return self._ask()
        self._answer = self._ask()
        self._traces, self._metrics, self._logs = (
            traces["_TRACER_PROVIDER"],
            metrics["_METER_PROVIDER"],
            logs["_LOGGER_PROVIDER"],
        )
        return self._answer
