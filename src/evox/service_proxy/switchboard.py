"""Switchboard: what one runtime knows of the services that can be called: where each is, and how calls to it went.

A service that runs here is called here. Any other is looked for among the peers of the configuration, in the registry
of services, and at its DNS name, in this order.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evox import context
from evox.auth import INTERNAL_SCHEME, current
from evox.config import PeerSettings, ProxySettings, in_code
from evox.errors import AmbiguousOperation, CannotIssue, OutsideRuntime, UnknownService
from evox.runtime import native
from evox.service_proxy.announced import Announced
from evox.service_proxy.calling import Line, LineStatistics
from evox.service_proxy.catalogue import Catalogue
from evox.service_proxy.leaving import Left
from evox.service_proxy.local import LocalTarget
from evox.service_proxy.registry import Registry
from evox.service_proxy.remote import Locate, RemoteTarget, client_of
from evox.service_proxy.sending import Sending, Target
from evox.service_proxy.tracing import trace_headers
from evox.services import Running, Scope
from evox.services.declaration import Declaration
from evox.services.operations import Operation

__all__ = ["Switchboard", "SwitchboardStatistics", "switchboard"]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")  # that of a service, no longer than DNS has it
_log = logging.getLogger("evox.proxy")


@dataclass(frozen=True, slots=True)
class SwitchboardStatistics:
    """The calls that one runtime makes. ``internal`` ones stay in the process, ``external`` ones leave it."""

    internal: int
    external: int
    lines: tuple[LineStatistics, ...]


class Switchboard:
    """The lines of one runtime.

    Args:
        scope: The runtime.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.settings = scope.loaded.settings.proxy
        self.native = native()
        self._lines: dict[str, Line] = {}
        self._names: dict[str, Line] = {}  # the same, by every way of writing a name that was used
        self._fakes: dict[str, list[Line]] = {}
        self._services = 0
        self._said: set[str] = set()
        self.registry = _registry(self.settings)
        self.left = Left()

    def __repr__(self) -> str:
        return f"<Switchboard with {len(self._lines)} lines>"

    def line(self, name: str) -> Line:
        """Return the way to a service.

        Args:
            name: Its name; dashes and underscores are the same.

        Raises:
            UnknownService: if nobody knows it.
            AmbiguousOperation: if two services have the name.
        """
        if self._services != self.scope.size:  # another one has started since
            self._services = self.scope.size
            self._lines = {known: line for known, line in self._lines.items() if line.target.kind == "local"}
            self._names.clear()
        line = self._names.get(name)
        if line is not None:
            return line
        key = in_code(name)
        fakes = self._fakes.get(key)
        if fakes:
            return fakes[-1]
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = self._line(self._target(key), key)
        self._names[name] = line
        return line

    def fake(self, target: Target) -> Callable[[], None]:
        """Let a fake answer in the place of a service; call what is returned to undo it."""
        line = self._line(target, in_code(target.name))
        stack = self._fakes.setdefault(in_code(target.name), [])
        stack.append(line)
        self._names.clear()

        def undo() -> None:
            stack.remove(line)
            self._names.clear()

        return undo

    def find(self, name: str) -> Target | None:
        """Return what answers for a service, or None."""
        try:
            return self.line(name).target
        except UnknownService:
            return None

    def declaration(self, name: str) -> Declaration | None:
        """Return what is known in this process of a service's code, whether it runs here or not."""
        found = {id(one): one for one in self._declared() if in_code(one.name) == in_code(name)}
        return next(iter(found.values())) if len(found) == 1 else None

    def owner(self, controller: type) -> Declaration | None:
        """Return the service that a controller belongs to, where one alone has it."""
        found = {id(one): one for one in self._declared() if any(row.controller is controller for row in one.endpoints)}
        return next(iter(found.values())) if len(found) == 1 else None

    def known(self) -> list[str]:
        """Return the names of all services that can be called."""
        here = [in_code(one.name) for one in self.scope.lives]
        return list(dict.fromkeys([*here, *self.scope.loaded.settings.peers, *self._fakes]))

    def statistics(self) -> SwitchboardStatistics:
        """Return the calls that were made, by service."""
        lines = [line.statistics() for line in self._lines.values()]
        inside = sum(one.calls for one in lines if one.kind == "local")
        return SwitchboardStatistics(inside, sum(one.calls for one in lines) - inside, tuple(lines))

    async def aclose(self) -> None:
        """Close connections to other services."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            close = getattr(line.target, "aclose", None)
            if close is not None:
                await close()
        if self.registry is not None:
            await self.registry.close()

    def _line(self, target: Target, key: str) -> Line:
        peer = self.scope.loaded.settings.peers.get(key) if target.kind != "local" else None
        limit = self.settings.timeout if peer is None or peer.timeout is None else peer.timeout
        return Line(target, self.settings.attempts, limit)

    def _declared(self) -> list[Declaration]:
        return [*(one.service for one in self.scope.lives), *self.scope.declared]

    def _target(self, key: str) -> Target:
        if not _NAME.fullmatch(key):  # it may come from anywhere, and becomes part of a URL
            raise UnknownService(key, self.known())
        here = [one.service for one in self.scope.lives if in_code(one.name) == key]
        if len(here) > 1:
            names = [f"service {one.name!r}" for one in here]
            raise AmbiguousOperation(f"service {key!r}", names, fix="give one of them another name")
        if here:
            return LocalTarget(here[0], self.scope, self.native)
        peer = self.scope.loaded.settings.peers.get(key)
        if peer is not None:
            return self._remote(self._name(key), peer, _at(peer.url))
        if self.registry is not None:
            name = self._name(key)
            peer = PeerSettings(url="https://registry", cafile=self.settings.cafile)
            announced = Announced(name, self.registry, self.settings.dns)
            return self._remote(name, peer, announced.locate, announced.lost)
        if self.settings.dns is not None:
            name = self._name(key)
            peer = PeerSettings(url=self.settings.dns.replace("{service}", name), cafile=self.settings.cafile)
            return self._remote(name, peer, _at(peer.url))
        raise UnknownService(key, self.known())

    def _name(self, key: str) -> str:
        """Return a service's own name: as its code has it, or with dashes, as most are written."""
        found = self.declaration(key)
        return found.name if found is not None else key.replace("_", "-")

    def _remote(
        self, name: str, peer: PeerSettings, locate: Locate, lost: Callable[[str], None] = lambda _: None
    ) -> RemoteTarget:
        cafile = None if peer.cafile is None else str(Path(self.scope.loaded.root) / peer.cafile)
        declared = self.declaration(name)
        catalogue = Catalogue(name, peer, declared)

        def headers(operation: Operation, sending: Sending) -> dict[str, str]:
            made = trace_headers(sending.parent)
            if sending.level is not None and peer.trust == "internal":
                made["x-evox-priority"] = sending.level.label
            credentials = self._credentials(name, peer, operation, sending)
            return made | ({"authorization": credentials} if credentials is not None else {})

        return RemoteTarget(
            name,
            locate,
            client_of(self.settings.connections, cafile),
            headers=headers,
            describe=catalogue.operations,
            limit=int(self.settings.answer_bytes),
            lost=lost,
        )

    def _credentials(self, name: str, peer: PeerSettings, operation: Operation, sending: Sending) -> str | None:
        """Return what a peer may know of who calls: a token of ours, the user's own, or nothing."""
        if peer.trust == "external":
            return _bearer(sending) if peer.forward_user else None
        tokens = self.scope.authority.internal_tokens()
        if tokens is None:
            self._warn(name)
            return None
        try:
            token = tokens.issue(sending.internal, audience=name, operation=str(operation))
        except CannotIssue:
            self._warn(name)
            return None
        return f"{INTERNAL_SCHEME} {token}"

    def _warn(self, name: str) -> None:
        if name not in self._said:
            self._said.add(name)
            _log.warning(
                "calls to %s do not say who calls: name keys to sign them with in [tool.evox.auth] internal_keys", name
            )


def switchboard(asked_for: object) -> tuple[Switchboard, Running]:
    """Return the switchboard of the current runtime, and the service that calls.

    Args:
        asked_for: What the caller wanted, for the message.

    Raises:
        OutsideRuntime: if no service is running in this context.
    """
    running: Any = context.maybe_service()
    if running is None:
        raise OutsideRuntime(f"proxy.{asked_for}(...)")
    found: Switchboard = running.runtime.room(Switchboard)
    return found, running


def _registry(settings: ProxySettings) -> Registry | None:
    return None if settings.registry is None else Registry(settings.registry, lease=settings.lease)


def _at(url: str) -> Locate:
    async def locate() -> str:
        return url

    return locate


def _bearer(sending: Sending) -> str | None:
    """Return the user's own credentials, from the request that began the chain, if it is still that user's."""
    call, who = sending.parent, current()
    while call is not None:
        if call.request is not None and call.origin == "http":
            given = call.request.headers.getlist("authorization")
            is_bearer = len(given) == 1 and given[0][:7].lower() == "bearer "
            known = call.principal
            is_theirs = who.kind == "user" and (who.issuer, who.subject) == (known.issuer, known.subject)
            return given[0] if is_bearer and is_theirs else None
        call = call.parent
    return None
