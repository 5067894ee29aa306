"""Intents: what is declared about data, independent of where it is kept.

``@Intent(...)`` stands on endpoints, controllers and functions. It is a frozen value: two intents that say the same
are equal, and merging gives a third. What an intent leads to is decided elsewhere, from the merged value alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias, TypeVar

from evox.durations import Duration, seconds
from evox.errors import InvalidDeclaration
from evox.marks import mark, marks

__all__ = ["Consistency", "Intent", "intent_of"]

Consistency: TypeAlias = Literal["strong", "eventual"]
Fallback: TypeAlias = Literal["aggressive"]
_Target = TypeVar("_Target")


@dataclass(frozen=True, slots=True, init=False)
class Intent:
    """How data lives. Every field may be left open; what is open is taken from the intent farther out, or a default.

    Args:
        cacheable: Whether copies may be kept.
        ttl: How long a copy is fresh: seconds, ``"10m"`` or a ``timedelta``. Implies ``cacheable``.
        consistency: ``"strong"`` (never stale) or ``"eventual"``.
        fallback: ``"aggressive"`` serves a stale copy while the source fails.
        max_stale: How long past its ttl a copy may be served by the fallback.
        tags: Names under which copies can be invalidated together.
        vary_on: Names of further inputs that the answer depends on.

    Raises:
        InvalidDeclaration: if a value does not fit, or two contradict each other.
    """

    cacheable: bool | None = None
    ttl: float | None = None
    consistency: Consistency | None = None
    fallback: Fallback | None = None
    max_stale: float | None = None
    tags: tuple[str, ...] = field(default=())
    vary_on: tuple[str, ...] = field(default=())

    def __init__(
        self,
        *,
        cacheable: bool | None = None,
        ttl: Duration | None = None,
        consistency: Consistency | None = None,
        fallback: Fallback | None = None,
        max_stale: Duration | None = None,
        tags: Iterable[str] = (),
        vary_on: Iterable[str] = (),
    ) -> None:
        if cacheable is not None and not isinstance(cacheable, bool):
            raise _invalid("cacheable", cacheable, "it is True or False")
        if consistency not in (None, "strong", "eventual"):
            raise _invalid("consistency", consistency, 'it is "strong" or "eventual"')
        if fallback not in (None, "aggressive"):
            raise _invalid("fallback", fallback, 'it is "aggressive", or left out')
        values: dict[str, Any] = {
            "cacheable": cacheable if ttl is None or cacheable is not None else True,
            "ttl": _duration("ttl", ttl),
            "consistency": consistency,
            "fallback": fallback,
            "max_stale": _duration("max_stale", max_stale),
            "tags": _names("tags", tags),
            "vary_on": _names("vary_on", vary_on),
        }
        if values["cacheable"] is False and ttl is not None:
            raise _invalid("ttl", ttl, "cacheable=False leaves nothing to expire")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __call__(self, target: _Target) -> _Target:
        """Declare this intent on a function, method or class. Nearer intents win where several speak."""
        mark(target, "Intent", self, merge=lambda nearer, farther: farther.merged(nearer))
        return target

    def merged(self, over: "Intent | None") -> "Intent":
        """Return this intent with what ``over`` says put on top, field by field."""
        if over is None:
            return self
        said = {f.name: value for f in fields(over) if (value := getattr(over, f.name)) not in (None, ())}
        if said.get("cacheable") is False:
            said["ttl"] = None
        return replace(self, **said)


def intent_of(target: Any) -> Intent | None:
    """Return the intent marked on a function or class itself, or None."""
    found: Intent | None = marks(target).get("Intent")
    return found


def _duration(name: str, value: Duration | None) -> float | None:
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as error:
        raise _invalid(name, value, str(error)) from None


def _names(name: str, value: Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(one, str) and one for one in names):
        raise _invalid(name, value, "it is a list of names")
    return names


def _invalid(option: str, value: object, why: str) -> InvalidDeclaration:
    return InvalidDeclaration(option, value, on="@Intent", why=why)
