"""Validate: what must hold of all services together before any of them starts."""

import difflib
from collections.abc import Sequence

from evox.config import Loaded, in_code
from evox.errors import DuplicatePort, DuplicateService, InvalidDeclaration, InvalidOption, UnknownOption
from evox.runtime import Choice, asyncio_only_imports, choose
from evox.services import Service

LAST_PORT = 65535
__all__ = ["assign_ports", "check_names", "loop_of", "port_notes", "start_order", "validate"]


def validate(services: Sequence[Service], *, gateway: bool = False) -> None:
    """Compile every service and check that they can live together.

    Args:
        services: All services of the process.
        gateway: Whether they share one port, so that their own do not matter.

    Raises:
        DeclarationError: naming the user's line.
    """
    names: dict[str, Service] = {}
    ports: dict[int, Service] = {}
    for service in services:
        service.compile()
        earlier = names.setdefault(in_code(service.name), service)
        if earlier is not service:
            raise DuplicateService(service.name, [earlier.place, service.place], earlier.name)
        port = service.settings.port
        if port and not gateway:
            other = ports.setdefault(port, service)
            if other is not service:
                taken = {one.settings.port for one in services}
                free = next(one for one in range(port + 1, port + len(services) + 2) if one not in taken)
                raise DuplicatePort(port, [other.name, service.name], service.place, free=free)
    start_order(services)


def start_order(services: Sequence[Service]) -> list[Service]:
    """Return the services so that each comes after those it depends on, otherwise in the order given.

    Raises:
        InvalidDeclaration: if a dependency is unknown, or they go in a circle.
    """
    by_name = {service.name: service for service in services}
    ordered: list[Service] = []
    visiting: list[str] = []

    def visit(service: Service) -> None:
        if service in ordered:
            return
        if service.name in visiting:
            chain = " -> ".join([*visiting, service.name])
            raise _dependency(service, service.name, f"they wait for each other: {chain}")
        visiting.append(service.name)
        for name in service.settings.depends_on:
            if name not in by_name:
                raise _dependency(service, name, f"there is no such service here; there are: {', '.join(by_name)}")
            visit(by_name[name])
        visiting.pop()
        ordered.append(service)

    for service in services:
        visit(service)
    return ordered


def _dependency(service: Service, name: str, why: str) -> InvalidDeclaration:
    return InvalidDeclaration("depends_on", name, on=f"service {service.name!r}", why=why, place=service.place)


def check_names(loaded: Loaded, names: Sequence[str], *, whole: bool) -> list[str]:
    """Check that the services which ``[tool.evox.data.services]`` speaks of are there.

    Args:
        loaded: The project's configuration.
        names: Of all services that were found.
        whole: Whether those are all of the project; else the others may be run elsewhere, and a note has to do.

    Returns:
        Notes on names that no service has.

    Raises:
        UnknownOption: if the whole project has no service of a name.
    """
    notes = []
    for name in loaded.settings.data.services:
        if name in names:
            continue
        origin = loaded.origin("data", "services", name)
        if whole:
            error = UnknownOption(f"data.services.{name}", source=origin.table, known=names, place=origin.place)
            error.why = f"{origin.table} gives it a backend, and no service of the project has that name"
            raise error
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"; is {close[0]!r} meant?" if close else ""
        notes.append(f"{origin.table} gives a backend to {name!r}, and no service that was found has that name{meant}")
    return notes


def loop_of(loaded: Loaded, services: Sequence[Service]) -> Choice:
    """Return the loop that services run on, by the configuration and by what needs asyncio.

    Args:
        loaded: The project's configuration.
        services: Those that run, imported already.
    """
    adopted = [f"service {one.name!r} was made from an existing FastAPI app" for one in services if one.adopted]
    imported = [f"{name} is imported, which needs asyncio" for name in asyncio_only_imports()]
    source = loaded.sources.get("backend", "the default")
    return choose(loaded.settings.backend, source=source, asyncio_because=[*imported, *adopted])


def port_notes(services: Sequence[Service], port: int | None, *, gateway: bool) -> list[str]:
    """Say so where ``--port`` is not what services listen on, as they declare ports of their own.

    Args:
        services: Those that run.
        port: From the command line.
        gateway: Whether they share it.
    """
    own = [service.name for service in services if service.settings.port is not None]
    if port is None or gateway or len(services) == 1 or not own:
        return []
    return [f"--port {port} is for services without a port of their own; {', '.join(own)} declare one"]


def assign_ports(services: Sequence[Service], first: int, *, only: int | None = None) -> dict[str, int]:
    """Return the port of each service: its own, else the next free number from ``first``.

    Args:
        services: Services in order.
        first: Where counting starts.
        only: A port from the command line for the one service; 0 takes a free one.
    """
    if only is not None and len(services) == 1:
        return {services[0].name: only}
    start = first if only is None else only
    taken = {service.settings.port for service in services}
    ports: dict[str, int] = {}
    for service in services:
        if service.settings.port is not None:
            ports[service.name] = service.settings.port
        elif start == 0:
            ports[service.name] = 0
        else:
            while start in taken:
                start += 1
            if start > LAST_PORT:
                why = f"there is no port left for service {service.name!r}"
                raise InvalidOption("port", source="the command line or the configuration", why=why)
            ports[service.name] = start
            start += 1
    return ports
