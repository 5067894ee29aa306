"""Forms: a snapshot as it is read by the report and the dashboard, wherever it came from.

What another process sends is never trusted to be right: unknown members are left out, what is there is cut to size by
``fields``, and what does not fit is an error that says where. So pages can be written for what stands here alone.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from evox.observe.fields import Count, Few, Number, Said, Some, Text
from evox.observe.rules import Level, title

__all__ = [
    "Auth",
    "Backend",
    "Breaker",
    "Caches",
    "Calls",
    "Finding",
    "Incident",
    "Line",
    "LogEntry",
    "Process",
    "Proxy",
    "Queue",
    "QueueLevel",
    "ServiceState",
    "Snapshot",
    "Task",
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)  # built when first read


class Process(_Form):
    """The process. ``time`` is what its clock says; ``urls`` is where its services listen, by name."""

    instance: Text
    pid: Count
    host: Text
    evox: Text
    python: Text
    loop: Text
    mode: Text
    root: Text = ""
    commit: Text = ""
    lock: Text = ""
    workers: Count = 1
    started: Number
    time: Number
    uptime: Number


class Check(_Form):
    """A readiness check as it went last; ``why`` it failed."""

    status: Text
    why: Text = ""


class Jobs(_Form):
    """Jobs: running now, the first ones by name, and how those before ended."""

    count: Count = 0
    running: Some[Text] = []
    finished: Count = 0
    failed: Count = 0


class Requests(_Form):
    """Requests that are open now, by kind, and totals."""

    requests: Count = 0
    streams: Count = 0
    websockets: Count = 0
    total: Count = 0
    refused: Count = 0
    failed: Count = 0
    cut: Count = 0
    left: Count = 0


class Connections(_Form):
    """Connections: open now, accepted, and what clients did wrong."""

    connections: Count = 0
    total: Count = 0
    complaints: Few[Count] = {}


class Task(_Form):
    """A background task. Times of day are wall-clock seconds, others seconds."""

    name: Text
    state: Text
    interval: Number | None = None
    runs: Count = 0
    failures: Count = 0
    last_run: Number | None = None
    last_duration: Number | None = None
    last_error: Text | None = None
    next_run: Number | None = None
    on_error: Text = ""


class Backend(_Form):
    """A backend of data."""

    name: Text
    shown: Text
    operations: Count
    failures: Count
    available: bool
    detail: Text = ""


class Memory(_Form):
    """What is kept in memory; sizes in bytes."""

    copies: Count = 0
    records: Count = 0
    size: Count = 0
    limit: Count = 0
    evicted: Count = 0
    expired: Count = 0


class Near(_Form):
    """Copies before a shared backend."""

    on: bool
    hits: Count
    misses: Count


class Reads(_Form):
    """Reads that have a source, by how they ended."""

    hits: Count = 0
    misses: Count = 0
    stale: Count = 0
    failures: Count = 0
    throttled: Count = 0


class Caches(_Form):
    """The data of a service."""

    backends: Some[Backend] = []
    near: Some[Near] = []
    reads: Reads = Reads()
    memory: Memory = Memory()


class IntentUse(_Form):
    """An intent that is in use; ``of`` says what for."""

    of: Text
    intent: Few[Said] = {}
    strong: bool = False
    ttl: Number | None = None
    max_stale: Number | None = None
    backend: Text | None = None


class Refusal(_Form):
    """A caller that was refused."""

    when: Number
    target: Text
    status: Count
    reason: Text


class Auth(_Form):
    """Who was let in."""

    mode: Text
    asks: bool
    keys: Some[Text] = []
    accepted: Count = 0
    refused: Count = 0
    recent: Some[Refusal] = []
    warnings: Some[Text] = []


class ServiceState(_Form):
    """A service. ``url`` is where it listens, if it does."""

    name: Text
    version: Text = ""
    state: Text
    level: Level = "pass"
    since: Number
    starts: Count = 0
    reason: Text = ""
    live: bool = True
    ready: bool = True
    checks: Few[Check] = {}
    depends_on: Some[Text] = []
    url: Text | None = None
    docs: Text | None = None
    jobs: Jobs = Jobs()
    requests: Requests = Requests()
    connections: Connections | None = None
    background: Some[Task] = []
    caches: Caches | None = None
    auth: Auth
    intents: Some[IntentUse] = []


class Calls(_Form):
    """How calls of one endpoint went. ``buckets`` counts by ``durations.BUCKETS``; durations in seconds."""

    service: Text
    endpoint: Text
    origin: Literal["http", "internal"]
    count: Count
    errors: Count
    statuses: Few[Count] = {}
    seconds: Number = 0.0
    buckets: Some[Count] = []
    p50: Number = 0.0
    p95: Number = 0.0
    p99: Number = 0.0
    longest: Number = 0.0


class QueueLevel(_Form):
    """One level. ``waits`` counts those that waited, by ``scheduling.WAITS``; ``waited`` is seconds in all."""

    level: Text
    cap: Count
    bound: Count
    reserve: Count = 0
    in_use: Count
    queued: Count
    oldest: Number = 0.0
    arrived: Count = 0
    admitted: Count = 0
    cancelled: Count = 0
    rejected: Few[Count] = {}
    waited: Number = 0.0
    waits: Some[Count] = []


class Queue(_Form):
    """The seats of one scheduler, and the queues for them, highest level first."""

    name: Text
    total: Count
    in_use: Count
    levels: Some[QueueLevel] = []


class Breaker(_Form):
    """Whether calls are let through; ``opens_for`` is seconds until one is."""

    state: Text
    calls: Count = 0
    failed: Count = 0
    opens_for: Number = 0.0
    why: Text = ""


class Line(_Form):
    """The calls to one service. ``kind`` is ``"local"``, ``"remote"`` or ``"fake"``; ``callers`` counts who called."""

    service: Text
    kind: Text
    calls: Count
    failed: Count
    retries: Count
    callers: Few[Count] = {}
    breaker: Breaker


class Announced(_Form):
    """One running copy of a service."""

    service: Text
    url: Text


class Registry(_Form):
    """Where services tell each other where they are."""

    announced: Some[Announced] = []
    known: Some[Text] = []
    available: bool = True


class Peer(_Form):
    """A service of the configuration that runs elsewhere."""

    url: Text | None = None
    trust: Text = ""


class Proxy(_Form):
    """The calls of a process to services: within it, and leaving it."""

    internal: Count = 0
    external: Count = 0
    lines: Some[Line] = []
    registry: Registry | None = None
    peers: Few[Peer] = {}


class Incident(_Form):
    """Something that is, or was, wrong; see ``incidents.Incident``."""

    service: Text
    kind: Text
    subject: Text
    severity: Level
    reason: Text
    since: Number
    last: Number
    count: Count = 1
    until: Number | None = None

    @property
    def title(self) -> str:
        """What it is, in a few words for people."""
        return title(self.kind, self.subject)


class LogEntry(_Form):
    """A kind of error or warning of the log; see ``recent.Entry``."""

    level: Text
    logger: Text
    service: Text
    message: Text
    error: Text = ""
    reason: Text = ""
    at: Some[Text] = []
    first: Number
    last: Number
    count: Count = 1
    request_id: Text = ""


class Finding(_Form):
    """What a snapshot means; see ``rules.Finding``."""

    level: Level
    service: Text
    what: Text
    why: Text = ""
    fix: Text = ""
    since: Number | None = None


class Snapshot(_Form):
    """The state of a process at one moment; see ``snapshot``."""

    schema_: Literal[1] = Field(validation_alias="schema", serialization_alias="schema")
    level: Level
    process: Process
    services: Some[ServiceState]
    calls: Some[Calls] = []
    queues: Some[Queue] = []
    proxy: Proxy = Proxy()
    incidents: Some[Incident] = []
    recent: Some[LogEntry] = []
    findings: Some[Finding] = []
