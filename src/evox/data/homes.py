"""Homes: where the values of one type, of one named intent, or without either live, and how.

Whatever stands first in ``data_io.read(...)`` and the like is looked up here: the intent of a type or name, with the
configuration on top, leads to a policy, a codec, a store and a part of the key space that nothing else reaches.
"""

import contextlib
import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_origin

from evox.config import IntentSettings
from evox.data import keys
from evox.data.codecs import Codec, codec_of
from evox.data.declaring import NamedIntent, declared_types, defined, defined_intents
from evox.data.intents import Intent, intent_of
from evox.data.policy import Policy, Spot, policy_of
from evox.errors import InvalidDeclaration, InvalidKey, place_of

__all__ = ["Home", "Homes"]


@dataclass(frozen=True, slots=True, eq=False)
class Home:
    """Where values of one kind live.

    Attributes:
        of: The type, the name, or None.
        prefix: What their stored keys begin with.
        guard: What is moved when keys of the kind are invalidated by prefix.
        intent: What was declared, in code and configuration.
        policy: What that leads to.
        codec: Writes and reads the values.
        backend: The URL of their backend; None for the service's.
        said: What the configuration says of them.
        requirements: What is asked of whoever uses values of the kind.
    """

    of: Any
    prefix: str
    guard: str
    intent: Intent
    policy: Policy
    codec: Codec
    backend: str | None = field(default=None, repr=False)
    said: IntentSettings | None = field(default=None, repr=False)
    requirements: tuple[Any, ...] = ()

    @property
    def label(self) -> str:
        """What it is called in errors."""
        if isinstance(self.of, str):
            return self.of if " " in self.of else f"intent {self.of!r}"
        return "untyped data" if self.of is None else f"type {getattr(self.of, '__name__', self.of)!r}"

    @property
    def name(self) -> str:
        """The name of the type or intent; empty for values without one, and for answers."""
        kind = self.prefix.partition("/")[2].rstrip(":")
        return kind.removeprefix("t.") if kind.startswith("t.") else ""

    @property
    def holds_answers(self) -> bool:
        """Whether it is that of an endpoint's answers, whose keys begin with a method."""
        return self.prefix.endswith(f"/{keys.ANSWERS}:")

    def where(self, option: str) -> Spot:
        """Return what declares an option."""
        return _where(option, self.intent, self.said, self.label)

    def key_of(self, value: Any) -> str:
        """Return the key that a value holds.

        Raises:
            InvalidKey: if it holds none, or none was declared.
        """
        if self.intent.key is None:
            why = "its intent does not say which field holds the key"
            fix = 'declare it: @data_intent.cacheable(key="id"), or give the key: write(type, key, value)'
            raise InvalidKey(value.__class__.__name__, why, fix=fix)
        return keys.key_of(value, self.intent.key)


class Homes:
    """The homes of one service.

    Args:
        service: The service's name.
        configured: Named intents of the configuration.
        asks: Returns what the types in an annotation ask of whoever uses their values.
        protected: Returns the classes that ask something; what is stored under the name of one is its values.
    """

    def __init__(
        self,
        service: str,
        configured: Mapping[str, IntentSettings],
        asks: Callable[[Any], tuple[Any, ...]] = lambda _: (),
        protected: Callable[[], Iterable[type]] = tuple,
    ) -> None:
        self._service = service
        self._asks, self._protected = asks, protected
        self._configured = configured
        self._homes: dict[Any, Home] = {}
        self._names: dict[str, Any] = {}
        self._answers: dict[tuple[int, int], Home] = {}
        self.untyped = self._make(None, keys.UNTYPED, Intent(), None)

    def __repr__(self) -> str:
        return f"<Homes of {self._service}: {', '.join(self._names) or 'no types'}>"

    def __iter__(self) -> Any:
        return iter(self._homes.values())

    def of(self, target: Any) -> Home:
        """Return the home of a type, a named intent, or a name.

        Raises:
            InvalidDeclaration: if there is no such name, two share one, or an intent contradicts itself.
        """
        if isinstance(target, NamedIntent):
            target = target.name
        try:
            return self._homes[target]
        except (KeyError, TypeError):  # what cannot be hashed is no type either
            made = self._homes[target] = self._named(target) if isinstance(target, str) else self._typed(target)
            return made

    def look(self, target: Any) -> Home:
        """Return what ``of`` would, without claiming the name: whether the type is ever used is not known."""
        if isinstance(target, NamedIntent):
            target = target.name
        return self._named(target, claim=False) if isinstance(target, str) else self._typed(target, claim=False)

    def answers(self, intent: Intent, policy: Policy) -> Home:
        """Return the home of an endpoint's answers: the same one for the same intent and policy."""
        known = (id(intent), id(policy))  # the home holds both, so nothing else comes to have their ids
        home = self._answers.get(known)
        if home is None:
            prefix = keys.place(self._service, keys.ANSWERS)
            guard = keys.kind_guard(self._service, keys.ANSWERS)
            home = self._answers[known] = Home(None, prefix, guard, intent, policy, codec_of(None), intent.backend)
        return home

    def of_copies(self) -> list[Home]:
        """Return the homes of whatever may be kept: used, configured or declared here, and those of answers."""
        found = [self.untyped, *self._homes.values(), *self._answers.values()]
        targets = [
            *self.configured(),
            *(kind for kind, _ in declared_types()),
            *(made for made, _ in defined_intents()),
        ]
        for target in targets:
            with contextlib.suppress(InvalidDeclaration):  # it says so where it is used
                found.append(self.look(target))
        return list({(home.prefix, home.backend): home for home in reversed(found)}.values())[::-1]

    def firsts(self) -> Home:
        """Return the home of first answers by idempotency key: records, in the service's own backend."""
        prefix = keys.place(self._service, keys.FIRSTS)
        guard = keys.kind_guard(self._service, keys.FIRSTS)
        return Home("first answers by idempotency key", prefix, guard, Intent(), Policy(), codec_of(None))

    def configured(self) -> list[Any]:
        """Return what the configuration speaks of: of each name the types that have it, else the name itself."""
        types: dict[str, list[Any]] = {}
        for kind, _ in declared_types():
            types.setdefault(_name_of(kind, _of_class(kind)), []).append(kind)
        return [one for name in self._configured for one in types.get(name, [name])]

    def _named(self, name: str, *, claim: bool = True) -> Home:
        found = defined(name)
        if found is None and name not in self._configured:
            raise self._unknown(name)
        kind = found.of if found is not None else None
        return self._make(name, keys.kind_of(name), found.intent if found is not None else Intent(), kind, claim=claim)

    def _typed(self, kind: Any, *, claim: bool = True) -> Home:
        if isinstance(kind, Intent):
            why = "an intent says how and not what: give it a name with data_intent.define(...)"
            raise InvalidDeclaration("intent", kind, on="data_io", why=why)
        if not _is_type(kind):
            why = "it is neither a type nor the name of an intent; a key of your own is a text"
            raise InvalidDeclaration("type", type(kind), on="data_io", why=why)
        declared = kind if inspect.isclass(kind) else get_origin(kind)
        intent = _of_class(declared) if inspect.isclass(declared) else Intent()
        if _ADDRESS.search(_name_of(kind, intent)):
            why = "it has no name that is the same in another process"
            fix = 'give it one: data_intent.define("name", type=...)'
            raise InvalidDeclaration("type", kind, on="data_io", why=why, fix=fix)
        return self._make(kind, keys.kind_of(_name_of(kind, intent)), intent, kind, claim=claim)

    def _make(self, of: Any, kind: str, intent: Intent, codec_for: Any, *, claim: bool = True) -> Home:
        name = kind.removeprefix("t.")
        if of is not None and claim:
            other = self._names.setdefault(name, of)
            if other is not of and other != of:
                why = f"{other!r} and {of!r} have the same name, so each would read the other's values"
                fix = 'give one another name: @data_intent.cacheable(name="...")'
                raise InvalidDeclaration("name", name, on="data_io", why=f"{why}; {fix}", place=place_of(of))
        said = self._configured.get(name) if of is not None else None
        if said is not None:
            intent = intent.merged(Intent(**said.said()))
        policy = policy_of(intent, where=lambda option: _where(option, intent, said, f"intent {name!r}"))
        prefix, guard = keys.place(self._service, kind), keys.kind_guard(self._service, kind)
        asked = self._asks(codec_for)
        if isinstance(of, str):
            asked = tuple(dict.fromkeys((*asked, *self._asked_under(name))))
        return Home(of, prefix, guard, intent, policy, codec_of(codec_for), intent.backend, said, asked)

    def _asked_under(self, name: str) -> Iterator[Any]:
        for kind in self._protected():
            if _name_of(kind, _of_class(kind)) == name:
                yield from self._asks(kind)

    def _unknown(self, name: str) -> InvalidDeclaration:
        known = sorted({*self._configured, *(made.name for made, _ in defined_intents())})
        close = difflib.get_close_matches(name, known, n=1)
        fix = f"write {close[0]!r} instead, or declare" if close else "declare"
        return InvalidDeclaration(
            "intent",
            name,
            on="data_io",
            why=f"no intent has that name; there are: {', '.join(known) or 'none'}",
            fix=f'{fix} it: data_intent.define("{name}"), or [tool.evox.data.intents.{name}]',
        )


def _where(option: str, intent: Intent, said: IntentSettings | None, label: str) -> Spot:
    """Return what declares an option: the configuration if it says it, else the code."""
    if said is None:
        return Spot(label, intent.place)
    if option in said.model_fields_set:
        origin = said.origin(option)
        return Spot(origin.table, origin.place)
    other = next((one for one in _DECISIVE if one in said.model_fields_set), None)
    if other is None:
        return Spot(label, intent.place)
    # It stands in code and may have been right there: who reads the code looks last where it is contradicted.
    origin = said.origin(other)
    fix = f"correct {option}= {f'at {intent.place}' if intent.place else 'in the code'}, or {other} in {origin.table}"
    return Spot(f"{label}, of which {origin.table} speaks too,", origin.place, fix)


_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
_DECISIVE: Final = ("consistency", "cacheable", "fallback", "ttl")


def _name_of(kind: Any, intent: Intent) -> str:
    """Return under which name a type's values are stored."""
    # list[int] and list[str] are two, and both call themselves list
    name = intent.name or (kind.__qualname__ if inspect.isclass(kind) else str(kind))
    return name.replace(":", "_").replace("/", "_")


def _is_type(kind: Any) -> bool:
    """Whether something is a class, or an annotation such as ``list[int]``, ``int | None`` or a ``NewType``."""
    return inspect.isclass(kind) or get_origin(kind) is not None or hasattr(kind, "__supertype__")


def _of_class(kind: type) -> Intent:
    """Merge what a class and its bases declare; the class itself is nearest."""
    intent = Intent()
    for base in reversed(kind.__mro__):
        intent = intent.merged(intent_of(base))
    return intent
