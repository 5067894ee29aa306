"""Server: what ``evox run`` does in one process. Bind, start, accept, say so; at a signal drain, stop, report.

The order is the promise: sockets are bound before anything starts, connections are accepted after everything has,
and the banner is printed after that.
"""

import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from starlette.types import ASGIApp

import evox
from evox.auth import Mode
from evox.config import Loaded, PrioritySettings, ServingSettings, find_root, is_loopback, load
from evox.errors import EvoxError, NoService
from evox.failures import root_cause
from evox.observe.mappings import syntaxes_of
from evox.orchestrator.announcing import Announcement, addresses_of, check_proxy
from evox.orchestrator.console import Console, Row
from evox.orchestrator.control import ControlSocket
from evox.orchestrator.discovery import Found, discover
from evox.orchestrator.fleet import DrainReport, Fleet
from evox.orchestrator.gateway import Gateway
from evox.orchestrator.handover import Handover
from evox.orchestrator.logs import start_logs
from evox.orchestrator.private import PrivateSocket
from evox.orchestrator.validation import assign_ports, check_names, loop_of, port_notes, validate
from evox.runtime import (
    Choice,
    SignalWatch,
    end_if_stuck,
    in_threads,
    run,
    watch_signals,
)
from evox.scheduling import Priority
from evox.services import Scope, Service
from evox.serving import Port, bind, tls_of

__all__ = ["Plan", "RunOptions", "configuration", "plan", "serve"]

DRAIN_EXCEEDED = 124
_log = logging.getLogger("evox.run")


@dataclass(frozen=True)
class RunOptions:
    """What ``evox run`` was told. None: not given, so the configuration decides."""

    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    host: str | None = None
    port: int | None = None
    backend: str | None = None
    gateway: bool | None = None
    certfile: str | None = None
    keyfile: str | None = None
    workers: int | None = None
    as_json: bool = False
    dev: bool = False
    trace: bool = False


@dataclass(frozen=True)
class Plan:
    """What is about to run, validated. Nothing is bound or started yet.

    Attributes:
        beside: Services of the project that do not run here; who calls them knows their operations and types.
        on_started: Told where each service listens, once it does.
    """

    options: RunOptions
    loaded: Loaded
    found: Sequence[Found]
    loop: Choice
    tls: ssl.SSLContext | None = None
    notes: Sequence[str] = field(default=())
    beside: Sequence[Service] = ()
    on_started: Callable[[Mapping[str, str]], None] | None = None


def configuration(options: RunOptions) -> Loaded:
    """Read the configuration of the project that the command line names. No user code is imported.

    Raises:
        EvoxError: if it is wrong.
    """
    first = next(
        (Path(one.partition(":")[0]) for one in options.targets if Path(one.partition(":")[0]).exists()),
        Path(),
    )
    root = find_root(first)
    given = {"certfile": options.certfile, "keyfile": options.keyfile}
    serving = {name: value for name, value in given.items() if value is not None}
    return load(
        root,
        host=options.host,
        backend=options.backend,
        gateway=options.gateway,
        workers=options.workers,
        serving=serving or None,
    )


def plan(options: RunOptions, loaded: Loaded | None = None) -> Plan:
    """Read the configuration, import the services and check everything that can be checked without a socket.

    Args:
        options: What the command line says.
        loaded: From ``configuration``, if it was read already.

    Raises:
        EvoxError: naming what, why and the line to change.
    """
    loaded = loaded or configuration(options)
    tls = tls_of(loaded)
    source = loaded.sources.get("services", "[tool.evox]").removesuffix(" in pyproject.toml")
    found = discover(options.targets, loaded.root, configured=loaded.settings.services, source=source)
    names = [one.service.name for one in found]
    # With targets, or services that the environment chose, others of the project may run in processes of their own.
    whole = not options.targets and not loaded.sources.get("services", "").startswith("the environment")
    misnamed = check_names(loaded, names, whole=whole)
    beside: list[Service] = []
    if options.only:
        missing = [name for name in options.only if name not in names]
        if missing:
            hint = f"the services found are: {', '.join(names)}"
            raise NoService(f"--only {missing[0]}", hint=hint, fix="name one of those after --only")
        beside = [one.service for one in found if one.service.name not in options.only]
        found = [one for one in found if one.service.name in options.only]
    services = [one.service for one in found]
    if options.only:
        for service in services:
            kept = tuple(name for name in service.settings.depends_on if name in options.only)
            service.settings.depends_on = kept
    validate(services, gateway=loaded.settings.gateway)
    loop = loop_of(loaded, services)
    notes = [f"{name} in the environment is not an option of Evox" for name in loaded.unknown_environment] + misnamed
    notes += port_notes(services, options.port, gateway=loaded.settings.gateway)
    check_proxy(loaded)
    return Plan(options, loaded, found, loop, tls, notes, beside)


def serve(what: Plan, *, handover: Handover | None = None) -> int:
    """Run a plan to its end.

    Args:
        what: From ``plan``.
        handover: Listening sockets kept by a parent process; none in production.

    Returns:
        The exit code: 0 after a clean drain, 124 when a request or thread was cut, an error's own otherwise.
    """
    options = what.options
    start_logs(dev=options.dev)  # again: what user code has set up while it was imported is not what a run is told by
    console = Console(as_json=options.as_json, trace=options.trace)
    try:
        with watch_signals() as signals:
            return run(what.loop, _Server(what, console, signals, handover or Handover()).main)
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, EvoxError):
            console.error(cause)
            return cause.exit_code
        raise


class _Server:
    def __init__(self, what: Plan, console: Console, signals: SignalWatch, handover: Handover) -> None:
        self._plan, self._console, self._signals, self._handover = what, console, signals, handover
        self._settings = what.loaded.settings
        self._fleet: Fleet
        self._private: PrivateSocket
        self._report = DrainReport()
        self._ports: list[Port] = []
        self._started = self._given_up = False
        self._ending = anyio.Event()

    async def main(self) -> int:
        services = [one.service for one in self._plan.found]
        with ExitStack() as stack:
            control = ControlSocket(self._plan.loaded, os.environ) if self._settings.control.socket else None
            self._private = stack.enter_context(PrivateSocket(wanted=self._settings.observe.socket, control=control))
            sockets = {name: stack.enter_context(one) for name, one in self._bind().items()}
            self._handover.keep(sockets)
            self._signals.on_first = self._arm
            mode: Mode = "development" if self._plan.options.dev else "production"
            shared = Scope(self._plan.loaded, mode=mode)
            shared.declared = list(self._plan.beside)
            self._fleet = Fleet(services, shared)
            stack.enter_context(self._fleet.observation.hearing_log())
            if self._plan.options.dev:
                for host in self._fleet.hosts:
                    host.inflight.on_answer = _log_answer
            with anyio.CancelScope() as starting:
                async with anyio.create_task_group() as connections:
                    connections.start_soon(self._interrupt, starting, name="signals")
                    async with self._fleet.started() as nursery:
                        await self._serve(sockets, nursery, connections)
                    connections.cancel_scope.cancel()
            self._end_if_stuck(stopped=True)
        failed = self._given_up or any(host.stop_error is not None for host in self._fleet.hosts)
        code = int(failed) if self._report.clean else DRAIN_EXCEEDED
        self._say_stopped(code, self._report.requests)
        return code

    def _say_stopped(self, code: int, requests: Sequence[str]) -> None:
        if self._handover.worker:
            self._handover.stopped(requests=requests, streams=self._report.streams)
        else:
            self._console.stopped(code=code, requests=requests, streams=self._report.streams)

    async def _interrupt(self, starting: anyio.CancelScope) -> None:
        """End the start at a signal that comes before everything has started: there is nothing to drain yet."""
        received = await self._signals.wait()
        if self._started:
            self._fleet.begin_drain()  # before anybody is told of it: a quick client may come at once
        if not self._handover.worker:
            self._console.draining(signal.Signals(received).name)
        self._ending.set()
        if not self._started:
            starting.cancel()

    async def _serve(self, sockets: Mapping[str, socket.socket], nursery: TaskGroup, connections: TaskGroup) -> None:
        _settle_memory()
        for name, bound in sockets.items():
            port = self._port(name, bound, connections)
            nursery.start_soon(port.serve, name=f"listener:{name}")
        self._started = True
        self._tell_observers()
        urls, root = self._fleet.urls(gateway=self._settings.gateway), self._plan.loaded.root
        self._private.serve(self._fleet.observation, urls, root=root, nursery=nursery, connections=connections)
        self._announce()
        if self._plan.on_started is not None:
            self._plan.on_started(urls)
        announced = Announcement(self._fleet.scope, addresses_of(self._settings, self._ports, self._fleet.names))
        nursery.start_soon(announced.run, name="registry")
        self._given_up = await self._wait_end()
        announced.withdraw()
        for port in self._ports:
            nursery.start_soon(port.leave_soon)
        self._report = await self._fleet.drain(self._drain_settings(), close_listeners=self._close)
        for port in self._ports:
            port.abort()
        stopped = await self._fleet.stop()
        await self._private.close()  # the last of all: how it ends can be seen too
        self._end_if_stuck(stopped=stopped)

    def _tell_observers(self) -> None:
        """Say what only this floor knows of the process: how it is reached, and by whom it is run."""
        settings = self._settings
        self._fleet.observation.about = {
            "address": settings.host,
            "loopback": is_loopback(settings.host),
            "tls": self._plan.tls is not None,
            "gateway": settings.gateway,
            "worker": self._handover.worker,
            "command": "evox run --dev" if self._plan.options.dev else "evox run",
        }

    def _bind(self) -> Mapping[str, socket.socket]:
        settings, options = self._settings, self._plan.options
        if settings.gateway:
            ports = {"gateway": settings.port if options.port is None else options.port}
        else:
            ports = assign_ports([one.service for one in self._plan.found], settings.port, only=options.port)
        bound: dict[str, socket.socket] = {}
        try:
            for name, port in ports.items():
                inherited = self._handover.take(settings.host, port, name)
                if inherited is None:
                    inherited = bind(settings.host, port, service=name, backlog=settings.serving.backlog)
                bound[name] = inherited
        except EvoxError:
            for one in bound.values():
                one.close()
            raise
        return bound

    def _port(self, name: str, bound: socket.socket, connections: TaskGroup) -> Port:
        app: ASGIApp = Gateway(self._fleet.hosts) if self._settings.gateway else self._fleet.host(name)
        serving = self._settings.serving
        port = Port(bound, app, serving, service=name, connections=connections, tls=self._plan.tls)
        self._ports.append(port)
        for service in self._fleet.names if self._settings.gateway else [name]:
            self._fleet.ports[service] = port
        return port

    async def _wait_end(self) -> bool:
        """Wait for the first signal, or until every service has been given up; return whether it was the latter."""
        ended: list[bool] = []
        async with anyio.create_task_group() as group:

            async def signalled() -> None:
                await self._ending.wait()
                ended.append(False)
                group.cancel_scope.cancel()

            async def given_up() -> None:
                await self._fleet.wait_all_given_up()
                ended.append(True)
                group.cancel_scope.cancel()

            async def orphaned() -> None:
                await self._handover.wait_orphaned()
                ended.append(False)
                group.cancel_scope.cancel()

            group.start_soon(signalled, name="end:signal")
            group.start_soon(given_up, name="end:given up")
            group.start_soon(orphaned, name="end:orphaned")
        return ended[0]

    async def _close(self) -> None:
        async with anyio.create_task_group() as group:
            for port in self._ports:
                group.start_soon(port.close)

    def _drain_settings(self) -> ServingSettings:
        if not self._plan.options.dev:
            return self._settings.serving
        return self._settings.serving.model_copy(update={"drain_delay": 0.0, "stream_grace": 0.5, "drain_timeout": 1.0})

    def _arm(self) -> None:
        """At the first signal: should the loop itself be stuck, end the process from outside it."""
        serving, limits = self._settings.serving, self._settings.runtime
        end_if_stuck(serving.drain_timeout + 2 * limits.shutdown_timeout + 1, self._stuck)

    def _end_if_stuck(self, *, stopped: bool) -> None:
        """Threads cannot be cancelled: if one still holds a request or a service, only ending the process is left."""
        held = any(host.inflight.statistics().requests for host in self._fleet.hosts)
        if held or not stopped or in_threads():
            os._exit(self._stuck())

    def _stuck(self) -> int:
        threads = [f"a thread of {name}" for name in in_threads()]
        cut = [*self._report.requests, *threads] or ["a thread that cannot be stopped"]
        self._say_stopped(DRAIN_EXCEEDED, cut)
        return DRAIN_EXCEEDED

    def _announce(self) -> None:
        urls = {port.service: port.url for port in self._ports}
        rows = []
        for one in self._plan.found:
            service = one.service
            base = f"{urls['gateway']}/{service.name}" if self._settings.gateway else urls[service.name]
            facts = (syntaxes_of(service), len(service.endpoints), _seats(service, self._settings.priority))
            docs = "" if service.app.docs_url is None else f"{base}{service.app.docs_url}"
            rows.append(Row(service.name, base, docs, *facts, one.why))
        version, loop = evox.__version__, str(self._plan.loop)
        notes = [*self._plan.notes, *self._fleet.scope.authority.notes()]
        if not self._handover.worker:
            self._console.started(version=version, loop=loop, rows=rows, notes=notes)
            self._handover.ready()
            return
        background = [
            f"{task.name} of {one.service.name}" for one in self._plan.found for task in one.service.background
        ]
        shown = {"version": version, "loop": loop, "notes": notes, "background": background}
        self._handover.ready({**shown, "services": [asdict(row) for row in rows]})


def _settle_memory() -> None:
    """Take all that was imported out of garbage collection.

    It is never garbage, and looking through it again and again stops every request for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()


def _log_answer(label: str, status: int, took: float) -> None:
    _log.info("%s -> %d in %.1f ms", label, status, took * 1000)


def _seats(service: Service, shared: PrioritySettings) -> str:
    """Name the seats of each level: the service's own, or those it shares with the others."""
    own = service.settings.concurrency or shared
    return "/".join(str(own.cap(level.label)) for level in Priority)
