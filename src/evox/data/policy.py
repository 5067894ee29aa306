"""Policy: what an intent leads to. Pure functions: intent and facts about a backend in, decisions or errors out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from evox.data.intents import Consistency, Intent
from evox.errors import InvalidDeclaration, Place

__all__ = ["DEFAULT_MAX_STALE", "DEFAULT_TTL", "Facts", "Policy", "Spot", "check_backend", "policy_of"]


class Spot(NamedTuple):
    """What declares an option, as errors name it, its line, and what to do there if that is not to correct it."""

    on: str
    place: Place | None = None
    fix: str = ""


Where: TypeAlias = Callable[[str], Spot]
DEFAULT_TTL: Final = 60.0
DEFAULT_MAX_STALE: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a backend can do.

    Attributes:
        name: ``"memory"``, ``"sqlite"``, ``"postgresql"`` or ``"valkey"``.
        shared: Whether other processes see what is written.
        linearizable: Whether a read gives what was written last, after a crash too.
        why_not: What is missing for that.
        file: The file that it is, if it is one; only one may write to it at a time.
    """

    name: str
    shared: bool
    linearizable: bool = True
    why_not: str = ""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with the values of one intent. Durations in seconds.

    Attributes:
        evictable: Whether they are copies that may be dropped to make room; records are kept.
        ttl: How long they are fresh; None for ever.
        near: Whether copies may be held in memory before a shared backend.
        strong: Whether that was promised never to be.
        max_stale: How long past its ttl a copy may be served while its source fails; 0 not at all.
        soft_timeout: How long a source is waited for while there is a stale copy.
        timeout: How long a source may take.
        eager: Age in shares of the ttl at which a copy is refreshed in the background.
        jitter: Share of the ttl by which it is shortened at random.
        negative_ttl: How long it is remembered that there is nothing.
    """

    evictable: bool = False
    ttl: float | None = None
    near: bool = False
    strong: bool = False
    max_stale: float = 0.0
    soft_timeout: float | None = None
    timeout: float | None = None
    eager: float | None = None
    jitter: float = 0.0
    negative_ttl: float | None = None


def policy_of(intent: Intent, *, on: str = "@Intent", where: Where | None = None) -> Policy:
    """Decide what an intent leads to.

    Args:
        intent: Merged from all that was said.
        on: Where it stands, for errors.
        where: The same of each option, where they stand in several places.

    Raises:
        InvalidDeclaration: if it contradicts itself.
    """
    at: Where = where or (lambda _: Spot(on, intent.place))
    cached = bool(intent.cacheable)
    strong = intent.consistency == "strong"
    falls_back = intent.fallback is not None
    if strong and falls_back:
        raise _contradiction("fallback", intent.fallback, at, 'strong is never stale: drop fallback=, or "strong"')
    if falls_back and not cached:
        raise _contradiction("fallback", intent.fallback, at, "nothing is kept to fall back to: add ttl=")
    for name in ("max_stale", "soft_timeout"):
        if getattr(intent, name) is not None and not falls_back:
            raise _contradiction(name, getattr(intent, name), at, 'it is about old values: add fallback="aggressive"')
    for name in ("eager", "jitter", "negative_ttl", "timeout"):
        if getattr(intent, name) is not None and not cached:
            raise _contradiction(name, getattr(intent, name), at, "it is about copies: add ttl=")
    ttl = (DEFAULT_TTL if intent.ttl is None else intent.ttl) if cached else None
    if ttl == 0:
        raise _contradiction("ttl", 0, at, "nothing is fresh for no time; leave cacheable and ttl out instead")
    stale = (DEFAULT_MAX_STALE if intent.max_stale is None else intent.max_stale) if falls_back else 0.0
    return Policy(
        evictable=cached,
        ttl=ttl,
        near=_near(cached, intent.consistency),
        strong=strong,
        max_stale=stale,
        soft_timeout=intent.soft_timeout,
        timeout=intent.timeout,
        eager=intent.eager,
        jitter=intent.jitter or 0.0,
        negative_ttl=intent.negative_ttl,
    )


def _near(cached: bool, consistency: Consistency | None) -> bool:
    """Records of which nothing was said are read where they are kept: to be behind has to be asked for."""
    return consistency == "eventual" or (consistency is None and cached)


def check_backend(
    policy: Policy, facts: Facts, *, workers: int, on: str = "@Intent", where: Where | None = None
) -> None:
    """Refuse a promise that a backend cannot keep.

    Raises:
        InvalidDeclaration: if strong consistency was declared and it cannot be had.
    """
    if not policy.strong:
        return
    at: Where = where or (lambda _: Spot(on))
    if not facts.shared and workers > 1:
        why = (
            f"{facts.name} is each worker's own, and there are {workers}: "
            "name a shared backend in [tool.evox.data], or run one worker"
        )
        raise _contradiction("consistency", "strong", at, why)
    if not facts.linearizable:
        raise _contradiction("consistency", "strong", at, f"{facts.name} cannot keep it: {facts.why_not}")


def _contradiction(option: str, value: object, where: Where, why: str) -> InvalidDeclaration:
    spot = where(option)
    return InvalidDeclaration(option, value, on=spot.on, why=why, fix=spot.fix, place=spot.place)
