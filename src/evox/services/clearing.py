"""Clearing: takes copies of a running service away for an operator, by key, path, prefix or tag. Never a record.

Whoever operates a service knows a key, or the path of an answer, and rarely the type under which a value is kept. So
a key is looked for in all that the service keeps, and a path in its answers.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evox.data import keys
from evox.data.homes import Home
from evox.data.io import DataIO
from evox.data.store import Store
from evox.errors import EvoxError
from evox.services.keying import groups_of

__all__ = ["Cleared", "Selection", "clear", "names_of"]

_METHODS = ("GET ", "HEAD ")  # what the keys of answers begin with


class Selection(BaseModel):
    """Which copies are meant: exactly one of the first four.

    Attributes:
        key: Of values of any type; or a path, beginning with ``/``: all answers of it, whatever their query.
        prefix: What keys, or paths, begin with.
        tag: Under which copies were written.
        everything: All copies of the service.
        of: Only those of this type or named intent; with ``key`` and ``prefix``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = Field(default=None, max_length=keys.LONGEST)
    prefix: str | None = Field(default=None, min_length=1, max_length=keys.LONGEST)
    tag: str | None = Field(default=None, max_length=keys.LONGEST)
    everything: bool = False
    of: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum([self.key is not None, self.prefix is not None, self.tag is not None, self.everything]) != 1:
            raise ValueError("name one of: a key, a prefix, a tag, everything")
        if self.of is not None and self.key is None and self.prefix is None:
            raise ValueError("a type goes with a key or a prefix")
        for text in (self.key, self.prefix):
            if text is not None:
                keys.check(text)
        if self.tag is not None:
            keys.check_tag(self.tag)
        return self


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many copies there were.

    Attributes:
        count: In all.
        shared: How many of those that were only counted are in shared backends: other processes count them too.
    """

    count: int = 0
    shared: int = 0

    def and_(self, other: "Cleared") -> "Cleared":
        """Return both together."""
        return Cleared(self.count + other.count, self.shared + other.shared)


async def clear(io: DataIO, selection: Selection, *, dry_run: bool = False) -> Cleared:
    """Take copies away in whatever backends they are, or only count them.

    Args:
        io: Of the service.
        selection: Which.
        dry_run: Whether to leave them.

    Raises:
        DataError: if a backend did not answer; the others have done their part by then.
    """
    count, failure = Cleared(), None
    async for work in _works(io, selection, dry_run=dry_run):
        try:
            count = count.and_(await work())
        except EvoxError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return count


def names_of(io: DataIO) -> list[str]:
    """Return the names of the types and intents that a selection may be ``of``."""
    return sorted({home.name for home in io.homes.of_copies() if home.name})


async def _works(io: DataIO, selection: Selection, *, dry_run: bool) -> AsyncIterator[Callable[[], Awaitable[Cleared]]]:
    tags = [selection.tag] if selection.tag is not None else []
    if selection.key is not None and selection.key.startswith("/"):
        path = unquote(selection.key.partition("?")[0])  # as a browser shows it: all answers of it are meant
        tags += groups_of(None, path.rstrip("/") or "/")
    if tags and selection.of is None:
        yield lambda: _tags(io, tags, dry_run=dry_run)
    if selection.tag is not None:
        return
    for home in io.homes.of_copies():
        if selection.of is not None and home.name != selection.of:
            continue
        if selection.key is not None:
            yield lambda home=home: _key(io, home, selection.key, dry_run=dry_run)  # type: ignore[misc]  # bound now
        for begins in _prefixes(home, selection):
            yield lambda home=home, begins=begins: _prefix(io, home, begins, dry_run=dry_run)  # type: ignore[misc]


def _prefixes(home: Home, selection: Selection) -> list[str]:
    if selection.everything:
        return [""]
    if selection.prefix is None:
        return []
    if home.holds_answers:
        return [method + selection.prefix for method in _METHODS] if selection.prefix.startswith("/") else []
    return [selection.prefix]


async def _tags(io: DataIO, tags: list[str], *, dry_run: bool) -> Cleared:
    if not dry_run:
        return Cleared(await io.invalidate_tags(tags))
    full, found = io.tags_of(tags, ()), Cleared()
    for store in io.stores.all():
        found = found.and_(_counted(store, await store.backend.count_tags(full)))
    return found


def _counted(store: Store, number: int) -> Cleared:
    return Cleared(number, number if store.backend.facts.shared else 0)


async def _key(io: DataIO, home: Home, key: str, *, dry_run: bool) -> Cleared:
    store: Store = await io.stores.reach(home)
    if dry_run:
        entry = (await store.backend.get(home.prefix + key)).entry
        return _counted(store, int(entry is not None and entry.evictable))
    removed = await store.invalidate(home.prefix + key)
    if removed.number:
        io.tell(home, "invalidated", key)
    return Cleared(removed.number)


async def _prefix(io: DataIO, home: Home, begins: str, *, dry_run: bool) -> Cleared:
    store: Store = await io.stores.reach(home)
    if dry_run:
        return _counted(store, await store.backend.count_prefix(home.prefix + begins))
    removed = await store.invalidate_prefix(home.prefix + begins, home.guard)
    if removed.number:
        io.tell(home, "invalidated", None, prefix=begins)
    return Cleared(removed.number)
