"""Survey: all services of a project and all that is wrong with them, where ``evox run`` ends at the first error.

Nothing is bound, opened or started, and no hook runs. What can only be seen by that is not seen here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from evox.auth import Authority, Mode
from evox.config import Loaded
from evox.errors import EvoxError
from evox.orchestrator.announcing import check_proxy
from evox.orchestrator.discovery import Found, attempts
from evox.orchestrator.validation import check_names, loop_of, validate
from evox.services import Service
from evox.serving import tls_of

__all__ = ["Step", "Survey", "survey"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at.

    Attributes:
        what: What it is, such as ``import users/service.py``.
        said: What was found, if that is right.
        error: What is wrong with it.
    """

    what: str
    said: str = ""
    error: EvoxError | None = None


@dataclass(slots=True)
class Survey:
    """What was found of a project.

    Attributes:
        steps: All that was looked at, in order.
        found: Services that can be used.
        notes: What may be meant otherwise.
    """

    steps: list[Step] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Step]:
        """The steps at which something is wrong."""
        return [step for step in self.steps if step.error is not None]

    def step(self, what: str, look: Callable[[], str]) -> bool:
        """Look at one thing, and note what came of it; return whether it is right."""
        try:
            said = look()
        except EvoxError as error:
            self.steps.append(Step(what, error=error))
            return False
        self.steps.append(Step(what, said))
        return True


def survey(targets: Sequence[str], loaded: Loaded, *, dev: bool = False) -> Survey:
    """Import, compile and check all services of a project.

    Args:
        targets: From the command line; what the configuration lists, or the whole project, if empty.
        loaded: The project's configuration.
        dev: Whether keys for tokens may be made for development.

    Raises:
        NoService, TargetNotFound: if there is nothing to look at.
    """
    made = Survey()
    services = list(_services(made, targets, loaded))
    if made.errors:
        return made  # what is wrong with all of them together is said of all of them, or of none
    settings = loaded.settings
    whole = not targets and not loaded.sources.get("services", "").startswith("the environment")

    def together() -> str:
        validate(services, gateway=settings.gateway)
        made.notes += check_names(loaded, [one.name for one in services], whole=whole)
        return f"{len(services)} with names and ports of their own"

    made.step("services together", together)
    made.step("event loop", lambda: loop_of(loaded, services).backend)
    made.step("calls to other services", lambda: _calls(loaded))
    made.step("TLS", lambda: "on" if tls_of(loaded) is not None else "off")
    made.step("keys", lambda: _keys(loaded, services, "development" if dev else "production"))
    made.notes += _unsigned(loaded, services)
    made.notes += [f"{name} in the environment is not an option of Evox" for name in loaded.unknown_environment]
    return made


def _services(made: Survey, targets: Sequence[str], loaded: Loaded) -> Iterator[Service]:
    source = loaded.sources.get("services", "[tool.evox]").removesuffix(" in pyproject.toml")
    seen: set[int] = set()
    for attempt in attempts(targets, loaded.root, configured=loaded.settings.services, source=source):
        ones: list[Found] = []

        def look(look: Callable[[], list[Found]] = attempt.look, ones: list[Found] = ones) -> str:
            ones.extend(look())
            return ", ".join(one.service.name for one in ones) or "no service"

        made.step(f"import {_shown(attempt.where, loaded)}", look)
        for one in ones:
            if id(one.service) in seen:
                continue
            seen.add(id(one.service))
            if made.step(f"service {one.service.name!r}", lambda one=one: _compiled(one.service)):  # type: ignore[misc]
                made.found.append(one)
                yield one.service


def _compiled(service: Service) -> str:
    service.compile()
    count = len(service.endpoints)
    return f"{count} {'endpoint' if count == 1 else 'endpoints'}"


def _calls(loaded: Loaded) -> str:
    check_proxy(loaded)
    count = len(loaded.settings.peers)
    return f"{count} {'peer' if count == 1 else 'peers'} configured"


def _keys(loaded: Loaded, services: Sequence[Service], mode: Mode) -> str:
    asking = [what for service in services for what in service.asking]
    settings = loaded.settings
    Authority(settings.auth, loaded.root, mode=mode, host=settings.host).open(asking)
    return "nothing asks who calls" if not asking else f"{len(asking)} that ask who calls"


def _unsigned(loaded: Loaded, services: Sequence[Service]) -> list[str]:
    """Say so where calls to services elsewhere would be nobody's, and something here asks who calls."""
    settings = loaded.settings
    internal = [name for name, peer in settings.peers.items() if peer.trust == "internal"]
    if settings.auth.internal_keys or not internal or not any(service.asking for service in services):
        return []
    return [f"calls to {', '.join(internal)} do not say for whom they are: name internal_keys in [tool.evox.auth]"]


def _shown(where: str, loaded: Loaded) -> str:
    return where.removeprefix(f"{loaded.root}/")
