"""Intents: what is declared about data, independent of where it is kept.

``@Intent(...)`` stands on endpoints, controllers, functions and data types. It is a frozen value: two intents that say
the same are equal, and merging gives a third. What an intent leads to is decided in ``policy``, from the merged value
alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias, TypeVar

from evox.config import remember_url, scheme_of
from evox.durations import Duration, seconds
from evox.errors import InvalidDeclaration, Place
from evox.failures import user_line
from evox.marks import mark, marks

__all__ = ["Consistency", "Intent", "intent_of"]

Consistency: TypeAlias = Literal["strong", "eventual"]
Fallback: TypeAlias = Literal["aggressive"]
_Target = TypeVar("_Target")


@dataclass(frozen=True, slots=True, init=False)
class Intent:
    """How data lives. Every field may be left open; what is open is taken from the intent farther out, or a default.

    Args:
        cacheable: Whether what is stored is a copy, which may be dropped to make room.
        ttl: How long a copy is fresh: seconds, ``"10m"`` or a ``timedelta``. Implies ``cacheable``.
        consistency: ``"strong"`` (never stale) or ``"eventual"`` (a copy in memory may be a little behind).
        fallback: ``"aggressive"`` serves a stale copy while the source fails.
        max_stale: How long past its ttl a copy may be served by the fallback; a day when left out.
        soft_timeout: How long to wait for the source while there is a stale copy; it then goes on in the background.
        timeout: How long the source may take at all; longer is a failure.
        eager: Share of the ttl, e.g. ``0.8``, after which a copy is refreshed in the background when it is read.
        jitter: Share of the ttl, e.g. ``0.1``, by which it is shortened at random, so that not all expire at once.
        negative_ttl: How long "there is none" is kept: a loader's None, an endpoint's 404 and 410. Not kept otherwise.
        key: Name of the field that holds a value's key.
        name: Under which a type's values are stored; its class name when left out.
        backend: Where it is kept, as in ``[tool.evox.data]``; the service's backend when left out.
        tags: Names under which copies can be invalidated together.
        vary_on: Names of further inputs that the answer depends on.

    Attributes:
        place: The line that declares it, or the nearest of several; None where that is no line of the user's.

    Raises:
        InvalidDeclaration: if a value does not fit, or two contradict each other.
    """

    cacheable: bool | None = None
    ttl: float | None = None
    consistency: Consistency | None = None
    fallback: Fallback | None = None
    max_stale: float | None = None
    soft_timeout: float | None = None
    timeout: float | None = None
    eager: float | None = None
    jitter: float | None = None
    negative_ttl: float | None = None
    key: str | None = None
    name: str | None = None
    backend: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = field(default=())
    vary_on: tuple[str, ...] = field(default=())
    place: Place | None = field(default=None, init=False, repr=False, compare=False)

    def __init__(
        self,
        *,
        cacheable: bool | None = None,
        ttl: Duration | None = None,
        consistency: Consistency | None = None,
        fallback: Fallback | None = None,
        max_stale: Duration | None = None,
        soft_timeout: Duration | None = None,
        timeout: Duration | None = None,
        eager: float | None = None,
        jitter: float | None = None,
        negative_ttl: Duration | None = None,
        key: str | None = None,
        name: str | None = None,
        backend: str | None = None,
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
            "soft_timeout": _duration("soft_timeout", soft_timeout),
            "timeout": _duration("timeout", timeout),
            "eager": _share("eager", eager),
            "jitter": _share("jitter", jitter),
            "negative_ttl": _duration("negative_ttl", negative_ttl),
            "key": _word("key", key),
            "name": _word("name", name),
            "backend": _backend(backend),
            "tags": _names("tags", tags),
            "vary_on": _names("vary_on", vary_on),
        }
        if values["cacheable"] is False and ttl is not None:
            raise _invalid("ttl", ttl, "cacheable=False leaves nothing to expire")
        for given, value in values.items():
            object.__setattr__(self, given, value)
        object.__setattr__(self, "place", _line())

    def __call__(self, target: _Target) -> _Target:
        """Declare this intent on a function, method or class. Nearer intents win where several speak."""
        mark(target, "Intent", self, merge=lambda nearer, farther: farther.merged(nearer))
        return target

    def merged(self, over: "Intent | None") -> "Intent":
        """Return this intent with what ``over`` says put on top, field by field."""
        if over is None:
            return self
        said = {f.name: value for f in fields(over) if f.init and (value := getattr(over, f.name)) not in (None, ())}
        if said.get("cacheable") is False:
            said["ttl"] = None
        elif "ttl" in said and said.get("cacheable") is None:
            said["cacheable"] = True
        made = replace(self, **said)
        object.__setattr__(made, "place", over.place or self.place)
        return made


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


def _share(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise _invalid(name, value, "it is a share of the ttl: more than 0 and less than 1")
    return float(value)


def _word(name: str, value: str | None) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise _invalid(name, value, "it is a name")
    return value


def _backend(value: str | None) -> str | None:
    if value is not None:
        try:
            remember_url(value)
            scheme_of(value)
        except (ValueError, AttributeError) as error:
            why = str(error) if isinstance(value, str) else "it is a text such as 'sqlite:///file.db'"
            raise _invalid("backend", "..." if isinstance(value, str) else value, why) from None
    return value


def _names(name: str, value: Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(one, str) and one and one.isprintable() for one in names):
        raise _invalid(name, value, "it is a list of names, each on one line")
    return names


def _line() -> Place | None:
    """Return the line that declares an intent; one that Evox makes itself, such as of the configuration, has none."""
    return user_line(__name__, "evox.data.declaring", "dataclasses")


def _invalid(option: str, value: object, why: str) -> InvalidDeclaration:
    return InvalidDeclaration(option, value, on="@Intent", why=why, place=_line())
