"""Announcing: tells the registry of services where those of this process are, while they take requests."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio

from evox.config import Loaded, Settings
from evox.errors import InvalidOption
from evox.service_proxy import Switchboard, trusted
from evox.services import Scope
from evox.serving import Port

__all__ = ["Announcement", "addresses_of", "check_proxy"]


def check_proxy(loaded: Loaded) -> None:
    """Refuse what calls between services would fail for later.

    Args:
        loaded: The project's configuration.

    Raises:
        InvalidOption: if certificates cannot be read, or the address that is announced leads others nowhere.
    """
    settings = loaded.settings
    files = {f"peers.{name}.cafile": peer.cafile for name, peer in settings.peers.items()}
    for option, file in (files | {"proxy.cafile": settings.proxy.cafile}).items():
        if file is not None:
            trusted(str(loaded.root / file), option)
    _check_address(settings)


def _check_address(settings: Settings) -> None:
    if settings.proxy.registry is None or settings.proxy.advertise is not None:
        return
    try:
        is_every = ip_address(settings.host).is_unspecified
    except ValueError:
        is_every = False
    if is_every:
        why = f"host is {settings.host}, which is no address to call: say by which URL others reach this machine"
        raise InvalidOption("proxy.advertise", source="[tool.evox]", why=why)


def addresses_of(settings: Settings, ports: Sequence[Port], services: Sequence[str]) -> dict[str, str]:
    """Return the URL of each service, as others are to call it.

    Args:
        settings: ``[tool.evox]``.
        ports: What is listened on, in the order of the services; one for all behind a gateway.
        services: Their names.
    """
    said = settings.proxy.advertise
    if settings.gateway:
        return {name: f"{said or ports[0].url}/{name}" for name in services}
    found = {port.service: port.url for port in ports}
    if said is None:
        return found
    if len(found) == 1 or urlsplit(said).port is not None:
        return dict.fromkeys(found, said)
    return {name: f"{said}:{urlsplit(url).port}" for name, url in found.items()}


class Announcement:
    """What a process announces of its services.

    Args:
        scope: Their runtime, whose registry it is; nothing is announced without one.
        addresses: Their URLs, by name.
    """

    def __init__(self, scope: Scope, addresses: Mapping[str, str]) -> None:
        self._registry = scope.room(Switchboard).registry
        self._addresses = addresses
        self._scope = anyio.CancelScope()

    def __repr__(self) -> str:
        return f"<Announcement of {', '.join(self._addresses)}>"

    async def run(self) -> None:
        """Announce until ``withdraw``."""
        if self._registry is None:
            return
        with self._scope:
            async with anyio.create_task_group() as group:
                for name, url in self._addresses.items():
                    group.start_soon(self._registry.announce, name, url, name=f"registry:{name}")

    def withdraw(self) -> None:
        """Take the services out: no new calls are to come."""
        self._scope.cancel()
