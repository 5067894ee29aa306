"""Project: what is tested, and the settings under which it can be tried without touching anything that it owns.

A check is one statement that must hold. It is run on a loop of its own, so that nothing of one reaches the next.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evox.config import Loaded, settings_of
from evox.runtime import Choice
from evox.services import Service

__all__ = ["LIMIT", "Check", "Project", "limit_of"]

LIMIT: Final = 5.0  # seconds for one check
EACH: Final = 0.05  # more for each operation that it sends requests to
_KEPT: Final = ("serving", "priority", "data", "auth", "proxy", "config")
_KEYS: Final = ("keys", "algorithms", "jwks_url", "jwks_cafile", "jwks_max_age", "jwks_max_stale", "internal_keys")
_PROXY: Final = ("registry", "dns", "advertise", "cafile")


@dataclass(frozen=True, slots=True)
class Check:
    """One statement that must hold.

    Attributes:
        group: Which group it belongs to.
        name: The statement, as it is shown.
        run: Looks whether it holds. Returns what it measured, or nothing; raises ``Failed`` or ``Skipped``.
        virtual: Whether it runs in virtual time.
        limit: Seconds that it may take; of real time, virtual ones jump.
    """

    group: str
    name: str
    run: Callable[[], Awaitable[str | None]]
    virtual: bool = False
    limit: float = LIMIT


def limit_of(*services: Service) -> float:
    """Return the seconds that a check may take which sends requests to every operation of services."""
    return LIMIT + EACH * sum(len(row.methods) for one in services for row in one.endpoints)


@dataclass(frozen=True)
class Project:
    """What is tested.

    Attributes:
        loaded: The configuration.
        services: The services, validated. None of them is ever started here.
        loop: The loop that they would run on.
    """

    loaded: Loaded
    services: Sequence[Service]
    loop: Choice

    def apart(self) -> Loaded:
        """Return the configuration under which something can be tried; see ``settings``."""
        return Loaded(settings_of(self.settings(), "the self-test"), self.loaded.root)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Return the project's options without those that name something outside of this process.

        Data is kept in memory, keys are made for the time of the test, no other service and no registry is known. How
        many may run and wait, how long things take and what they are called stays.

        Args:
            **changes: Tables to put in place of the project's.
        """
        return _within(self.loaded) | changes


def _within(loaded: Loaded) -> dict[str, Any]:
    said = loaded.settings.model_dump(exclude_unset=True)
    left = {name: value for name, value in said.items() if name in _KEPT}
    data = {name: value for name, value in left.get("data", {}).items() if name not in ("database", "services")}
    data["backend"] = "memory"
    intents = data.get("intents", {}).items()
    data["intents"] = {name: {k: v for k, v in one.items() if k != "backend"} for name, one in intents}
    left["data"] = data
    for table, gone in (("auth", _KEYS), ("proxy", _PROXY), ("serving", ("certfile", "keyfile"))):
        left[table] = {name: value for name, value in left.get(table, {}).items() if name not in gone}
    return left
