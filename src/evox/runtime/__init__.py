"""Structured concurrency; knows nothing of HTTP or services."""

from evox.runtime.background import (
    BackgroundStatistics,
    BackgroundTask,
    FailurePolicy,
    Runner,
    call,
    in_threads,
    is_async,
)
from evox.runtime.lifecycle import Lifecycle, LifecycleStatistics, State
from evox.runtime.loop import (
    Backend,
    Choice,
    Native,
    asyncio_only_imports,
    choose,
    is_asyncio_only_error,
    native,
    on_trio,
    run,
)
from evox.runtime.nursery import JobStatistics, Nursery
from evox.runtime.signals import SignalWatch, end_if_stuck, watch_signals
from evox.runtime.supervisor import Intensity, RestartPolicy, supervise

__all__ = [
    "Backend",
    "BackgroundStatistics",
    "BackgroundTask",
    "Choice",
    "FailurePolicy",
    "Intensity",
    "JobStatistics",
    "Lifecycle",
    "LifecycleStatistics",
    "Native",
    "Nursery",
    "RestartPolicy",
    "Runner",
    "SignalWatch",
    "State",
    "asyncio_only_imports",
    "call",
    "choose",
    "end_if_stuck",
    "in_threads",
    "is_async",
    "is_asyncio_only_error",
    "native",
    "on_trio",
    "run",
    "supervise",
    "watch_signals",
]
