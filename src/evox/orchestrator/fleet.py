"""Fleet: all services of one process in one nursery, started in dependency order and stopped in reverse.

Used by ``evox run`` with sockets and signals round it, and by tests without. The sequence of a drain is here.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from evox.config import ServingSettings
from evox.observe import Observation
from evox.orchestrator.host import Host
from evox.orchestrator.validation import start_order
from evox.services import Scope, Service
from evox.serving import Kind, Port

__all__ = ["DrainReport", "Fleet"]

MARGIN = 1.0
CUT = 0.5
CLOSE = 2.0
_log = logging.getLogger("evox.lifecycle")


@dataclass(frozen=True, slots=True)
class DrainReport:
    """How a drain ended: what was cut, by kind. Only a cut request makes it unclean."""

    requests: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether no ordinary request was cut."""
        return not self.requests


class Fleet:
    """The services of one process.

    Args:
        services: Validated services.
        scope: What they share.
        on_failure: Called with each crash of a service.
        on_request_error: Called with each request's unhandled error.

    Attributes:
        ports: Where they are listened for, by service; whoever listens notes it here.
        observation: What is seen of them.
    """

    def __init__(
        self,
        services: Sequence[Service],
        scope: Scope,
        *,
        on_failure: Callable[[Exception], None] | None = None,
        on_request_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.scope = scope
        self.ports: dict[str, Port] = {}
        self.observation = scope.room(Observation)
        self.observation.doors = self._doors
        self.hosts = [
            Host(service, scope, on_failure=on_failure, on_request_error=on_request_error)
            for service in start_order(services)
        ]

    def __repr__(self) -> str:
        return f"<Fleet of {', '.join(host.service.name for host in self.hosts)}>"

    @property
    def names(self) -> list[str]:
        """The names of its services, in the order in which they start."""
        return [host.service.name for host in self.hosts]

    def urls(self, *, gateway: bool = False) -> dict[str, str]:
        """Return where its services are reached, as far as they are listened for."""
        return {name: f"{port.url}/{name}" if gateway else port.url for name, port in self.ports.items()}

    def host(self, name: str) -> Host:
        """Return the host of a service by name.

        Raises:
            KeyError: if there is none; the message lists those that are.
        """
        for host in self.hosts:
            if host.service.name == name:
                return host
        raise KeyError(f"no service {name!r} here; there are: {', '.join(h.service.name for h in self.hosts)}")

    @asynccontextmanager
    async def started(self) -> AsyncIterator[TaskGroup]:
        """Start all services and yield the process's nursery; stop them when the block ends.

        Raises:
            EvoxError: if a service does not start; those that had started are stopped again.
        """
        self._widen_threads()
        with self.observation.listening():
            async with anyio.create_task_group() as nursery, AsyncExitStack() as stack:
                stack.push_async_callback(self._close)
                for host in self.hosts:
                    await nursery.start(host.run, name=f"svc:{host.service.name}")
                    stack.push_async_callback(self._stop, host)
                yield nursery

    def _doors(self, service: str) -> dict[str, Any]:
        """Return what is open of a service now; behind a gateway, connections are everybody's."""
        port = self.ports.get(service)
        found: dict[str, Any] = {"requests": asdict(self.host(service).inflight.statistics())}
        if port is not None:
            seen = port.statistics()
            gateway = self.scope.loaded.settings.gateway
            app = self.host(service).service.app
            found["url"] = self.urls(gateway=gateway)[service]
            if app.docs_url is not None and self.host(service).running.shows_documentation:
                found["docs"] = f"{found['url']}{app.docs_url}"
            found["connections"] = {**asdict(seen), "complaints": dict(seen.complaints)}
        return found

    async def _close(self) -> None:
        """Close what rooms keep for the services, now that none runs."""
        with anyio.move_on_after(CLOSE, shield=True):
            await self.scope.close()

    def begin_drain(self) -> None:
        """Let every answer from now on ask its client to leave."""
        for host in self.hosts:
            host.drain()

    async def drain(
        self,
        settings: ServingSettings,
        *,
        close_listeners: Callable[[], Awaitable[None]] | None = None,
    ) -> DrainReport:
        """End requests: ask clients to leave, close listeners, wait, and cut what does not end.

        Args:
            settings: ``drain_delay``, ``stream_grace`` and ``drain_timeout``, all counted from now.
            close_listeners: Called after ``drain_delay``.
        """
        began = anyio.current_time()
        self.begin_drain()
        if close_listeners is not None:
            await anyio.sleep(settings.drain_delay)
            # Where the process stood still for longer than that, who waits gets the time that is due all the same.
            began = anyio.current_time() - settings.drain_delay
            with anyio.move_on_after(began + settings.drain_timeout - anyio.current_time()):
                await close_listeners()
        streams: list[str] = []
        grace = min(settings.stream_grace, settings.drain_timeout)
        with anyio.move_on_after(began + grace - anyio.current_time()):
            await self.wait_idle()
        for host in self.hosts:
            streams += host.inflight.cut(Kind.STREAM, Kind.WEBSOCKET)
        with anyio.move_on_after(began + settings.drain_timeout - anyio.current_time()):
            await self.wait_idle()
        requests = [label for host in self.hosts for label in host.inflight.unanswered()]
        for host in self.hosts:
            host.inflight.cut()
        for label in requests:
            _log.warning("cut %s: it did not end within %g s", label, settings.drain_timeout)
        with anyio.move_on_after(CUT):
            await self.wait_idle()
        return DrainReport(tuple(requests), tuple(streams))

    def _widen_threads(self) -> None:
        """Have a thread for each seat: FastAPI has 40 for all sync dependencies, first come first served."""
        schedulers = {host.running.scheduler for host in self.hosts}
        seats = sum(one.statistics().total for one in schedulers)
        threads = anyio.to_thread.current_default_thread_limiter()
        threads.total_tokens = max(threads.total_tokens, seats)

    async def wait_idle(self) -> None:
        """Wait until no service answers a request."""
        for host in self.hosts:
            await host.inflight.wait_idle()

    async def stop(self) -> bool:
        """Stop all services in reverse order; return whether all ended, False when a thread still holds one."""
        return all([await self._stop(host) for host in reversed(self.hosts)])

    async def _stop(self, host: Host) -> bool:
        host.stop()
        # A life bounds its own end below this.
        return await host.wait_stopped(2 * self.scope.loaded.settings.runtime.shutdown_timeout + MARGIN)

    async def wait_all_given_up(self) -> None:
        """Wait until every service has crashed too often to be restarted."""
        for host in self.hosts:
            await host.wait_given_up()
