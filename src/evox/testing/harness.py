"""Harness: run services inside a test, without sockets or with real ones.

``running`` is a context manager used inside the test, not a fixture that outlives it, so that a background task's
failure ends the test at once with its own error. Nothing is installed in the process: no signal handlers, no
logging.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anyio.abc import TaskGroup

from evox import context
from evox.auth import enter_principal, leave_principal, system
from evox.config import Loaded, settings_of
from evox.durations import Duration
from evox.failures import causes
from evox.observe import Observation
from evox.orchestrator import Fleet, Host, validate
from evox.service_proxy import Switchboard
from evox.services import Running, Scope, Service
from evox.serving import Port, bind, tls_of
from evox.testing.clients import AppTransport, websocket_session
from evox.testing.fakes import Fake, FakeTarget
from evox.testing.faults import Faults, faults

__all__ = ["Env", "running"]

END = 5.0


class Env:
    """Services running in a test. Made by ``running``."""

    def __init__(self, fleet: Fleet, nursery: TaskGroup, stack: AsyncExitStack) -> None:
        self._fleet = fleet
        self._nursery = nursery
        self._stack = stack
        self._ports: dict[str, Port] = {}

    def __repr__(self) -> str:
        return f"<Env of {', '.join(host.service.name for host in self._fleet.hosts)}>"

    def host(self, service: str | Service) -> Host:
        """Return the host of a service: its lifecycle, statistics and open requests."""
        return self._fleet.host(service if isinstance(service, str) else service.name)

    def service(self, service: str | Service) -> Running:
        """Return the running instance of a service: background tasks, jobs, injection."""
        return self.host(service).running

    def client(
        self, service: str | Service, *, raise_errors: bool = False, token: str | None = None, **options: Any
    ) -> httpx2.AsyncClient:
        """Return a client of one service; closed when the test ends, at the latest.

        Args:
            service: By name or itself.
            raise_errors: Raise a handler's unhandled error here rather than answering 500. Without sockets only.
            token: Sent with each request, as from ``token``.
            **options: Passed to ``httpx2.AsyncClient``, e.g. ``headers=``.
        """
        if token is not None:
            options["headers"] = {**options.get("headers", {}), "authorization": f"Bearer {token}"}
        host = self.host(service)
        name = host.service.name
        if name in self._ports:
            options = {"base_url": self.url(name)} | options
        else:
            transport = AppTransport(host, self._nursery, raise_errors=raise_errors)
            options = {"base_url": f"http://{name}", "transport": transport} | options
        client = httpx2.AsyncClient(**options)
        self._stack.push_async_callback(client.aclose)
        return client

    def websocket(self, service: str | Service, path: str, **headers: str) -> Any:
        """Open a WebSocket without sockets, as an async context manager giving a ``WebSocketSession``."""
        return websocket_session(self.host(service), self._nursery, path, headers)

    def token(self, subject: str = "tester", *, roles: Iterable[str] = (), **options: Any) -> str:
        """Return a token that the services accept; options as for ``auth.issue``."""
        return self._fleet.scope.authority.issue(subject, roles=roles, **options)

    def url(self, service: str | Service) -> str:
        """Return where a service listens, e.g. ``"http://127.0.0.1:40001"``.

        Raises:
            RuntimeError: without ``sockets=True``.
        """
        return self.port(service).url

    def override(self, thing: Any, fake: Any) -> AbstractContextManager[None]:
        """Replace what injection gives for ``thing``, for the time of a ``with`` block, in these services only."""
        return self._fleet.scope.override(thing, fake)

    def fake(self, service: str, **answers: Any) -> Fake:
        """Let fakes answer calls of a service, wherever it is, until the test ends or ``with`` does.

        Args:
            service: The service's name; it need not be there.
            **answers: For each operation a function, sync or async, a value, or an error. What is not named is answered
                by the real service, if there is one.

        Raises:
            UnknownOperation: if the service is known, and has no such operation.
        """
        board = self._board
        target = FakeTarget(service, answers, board)
        return Fake(board.fake(target), target)

    def faults(
        self, service: str, *, delay: Duration = 0, seed: int = 0, **plan: Any
    ) -> AbstractContextManager[Faults]:
        """Let something go wrong with calls of a service, for the time of a ``with`` block; see ``Faults``."""
        return faults(self._board, service, delay=delay, seed=seed, **plan)

    @property
    def observation(self) -> Observation:
        """What is seen of the services: calls, incidents, recent errors."""
        return self._fleet.observation

    @property
    def _board(self) -> Switchboard:
        return self._fleet.scope.room(Switchboard)

    async def listen(self, loaded: Loaded, connections: TaskGroup) -> None:
        """Give every service a real port on 127.0.0.1."""
        tls = tls_of(loaded)
        for host in self._fleet.hosts:
            name = host.service.name
            bound = bind("127.0.0.1", 0, service=name)
            port = Port(bound, host, loaded.settings.serving, service=name, connections=connections, tls=tls)
            self._ports[name] = self._fleet.ports[name] = port
            self._nursery.start_soon(port.serve, name=f"listener:{name}")

    def port(self, service: str | Service) -> Port:
        """Return the port of a service: its URL and the statistics of its connections.

        Raises:
            RuntimeError: without ``sockets=True``.
        """
        name = self.host(service).service.name
        if name not in self._ports:
            raise RuntimeError(f"{name} has no port: write running(..., sockets=True)")
        return self._ports[name]

    async def close(self) -> None:
        """Stop accepting, and close idle connections."""
        for port in self._ports.values():
            await port.close()

    def abort(self) -> None:
        """Close the connections that are left."""
        for port in self._ports.values():
            port.abort()


def _raise(error: Exception) -> None:
    raise error


@asynccontextmanager
async def running(
    *services: Service,
    sockets: bool = False,
    raise_errors: bool = True,
    settings: Mapping[str, Any] | None = None,
    root: Path | None = None,
    declared: Iterable[Service] = (),
) -> AsyncIterator[Env]:
    """Run services for the time of an ``async with`` block.

    Args:
        *services: What to run, all in one runtime. They start in dependency order.
        sockets: Whether each gets a real port; ``env.url(name)`` says where.
        raise_errors: Whether the failure of a background task, a job or a service ends the test at once with the real
            error. False supervises them as in production.
        settings: ``[tool.evox]`` for this run; the files and environment of the project are not read.
        root: The project's folder, for configuration that refers to it.
        declared: Services that do not run here, and whose operations and types are known to those that do.

    Yields:
        The environment: clients, URLs, overrides, statistics.

    Raises:
        Exception: the real error of whatever failed, not a group of one.
    """
    validate(services)
    loaded = Loaded(settings_of(settings or {}, "running(settings=...)"), root or Path.cwd())
    on_error = _raise if raise_errors else None
    scope = Scope(loaded, mode="test", on_job_error=on_error)
    scope.declared = list(declared)
    fleet = Fleet(services, scope, on_failure=on_error)
    quick = loaded.settings.serving.model_copy(update={"drain_delay": 0.0, "stream_grace": 0.0, "drain_timeout": 1.0})
    token = None
    try:
        async with anyio.create_task_group() as connections:
            async with fleet.started() as nursery, AsyncExitStack() as stack:
                env = Env(fleet, nursery, stack)
                if sockets:
                    await env.listen(loaded, connections)
                token = context.enter_service(fleet.hosts[0].running if fleet.hosts else None)
                caller = enter_principal(system(fleet.hosts[0].service.name)) if fleet.hosts else None
                try:
                    yield env
                finally:
                    if caller is not None:
                        leave_principal(caller)
                    with anyio.move_on_after(END, shield=True):
                        await stack.aclose()
                        await env.close()
                        await fleet.drain(quick)
                        env.abort()
            connections.cancel_scope.cancel()  # every request has been answered or cut
    except BaseExceptionGroup as group:
        leaves = list(dict.fromkeys(causes(group)))
        if len(leaves) == 1:
            raise leaves[0] from leaves[0].__cause__
        raise
    finally:
        if token is not None:
            context.leave_service(token)
