"""Declaring: ``@data_intent...`` on data types, and intents that have a name instead of a type.

A type keeps its declaration as a mark and stays what it was: nothing is added to its methods. What is declared in code
is found again by type or by name; ``[tool.evox.data.intents]`` is put on top when a service looks it up.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakSet

from evox.data.intents import Consistency, Intent, intent_of
from evox.durations import Duration
from evox.errors import InvalidDeclaration, Place, place_of
from evox.failures import user_line

__all__ = ["DataIntent", "NamedIntent", "data_intent", "declared_types", "defined", "defined_intents"]

T = TypeVar("T", bound=type)


@dataclass(frozen=True, slots=True)
class NamedIntent:
    """An intent with a name: what is read and written by it lives apart from everything else.

    Attributes:
        name: As in ``data_io.read("profile", key)`` and ``[tool.evox.data.intents.profile]``.
        intent: What was declared in code.
        of: What values are read back as; JSON values when None.
    """

    name: str
    intent: Intent
    of: Any = None


_types: WeakSet[type] = WeakSet()
_named: dict[str, tuple[NamedIntent, Place]] = {}
_DECORATORS: Final = "@data_intent"


class DataIntent:
    """The facade exported as ``data_intent``. Decorators may be stacked; they merge into one ``Intent``."""

    def __repr__(self) -> str:
        return "<data_intent>"

    def cacheable(
        self,
        *bare: Any,
        ttl: Duration | None = None,
        consistency: Consistency | None = None,
        **more: Any,
    ) -> Callable[[T], T]:
        """Declare that values of a type are copies: kept for ``ttl``, and dropped when room is needed.

        Args:
            *bare: None: it is written with parentheses.
            ttl: How long a copy is fresh; 60 s when left out.
            consistency: ``"strong"`` or ``"eventual"``.
            **more: Every other option of ``Intent``.

        Raises:
            InvalidDeclaration: if a value does not fit.
        """
        return self._declare(bare, {"cacheable": True, "ttl": ttl, "consistency": consistency, **more})

    def strong_consistency(self, *bare: Any, **more: Any) -> Callable[[T], T]:
        """Declare that a read gives what was written last, in whatever process; options as for ``Intent``."""
        return self._declare(bare, {"consistency": "strong", **more})

    def eventual_ok(self, *bare: Any, **more: Any) -> Callable[[T], T]:
        """Declare that a read may be ``l1_ttl`` behind other processes; options as for ``Intent``."""
        return self._declare(bare, {"consistency": "eventual", **more})

    def define(self, name: str, *, type: Any = None, **said: Any) -> NamedIntent:  # noqa: A002  reads as it is meant
        """Declare an intent that has a name instead of a type.

        Args:
            name: Its name.
            type: What values are read back as; JSON values when left out.
            **said: Options as for ``Intent``. ``[tool.evox.data.intents.NAME]`` wins over them.

        Raises:
            InvalidDeclaration: if a value does not fit, or another file has defined the name differently.
        """
        frame = sys._getframe(1)  # noqa: SLF001  the documented way to the calling frame
        place = Place(frame.f_code.co_filename, frame.f_lineno)
        _check_name(name, place)
        made = NamedIntent(name, Intent(**{**said, "name": name}), type)
        earlier, where = _named.get(name, (made, place))
        if earlier != made and where.file != place.file:
            why = f"it is defined at {where} as something else; names are for the whole process"
            raise InvalidDeclaration("name", name, on="data_intent.define", why=why, place=place)
        _named[name] = (made, place)
        return made

    def _declare(self, bare: tuple[Any, ...], said: dict[str, Any]) -> Callable[[T], T]:
        if bare:
            why = "write it with parentheses"
            raise InvalidDeclaration("target", bare[0], on=_DECORATORS, why=why, place=user_line(__name__))
        intent = Intent(**said)
        if intent.name is not None:
            _check_name(intent.name, intent.place)

        def declare(kind: T) -> T:
            if not inspect.isclass(kind):
                why = "it stands on a class; on endpoints and controllers write @Intent(...)"
                raise InvalidDeclaration("target", kind, on=_DECORATORS, why=why, place=place_of(kind) or intent.place)
            _types.add(kind)
            return intent(kind)

        return declare


data_intent = DataIntent()


def declared_types() -> list[tuple[type, Intent]]:
    """Return all classes that stand under ``@data_intent``, with what they declare."""
    return [(kind, intent_of(kind) or Intent()) for kind in _types]


def defined(name: str) -> NamedIntent | None:
    """Return the intent defined in code under a name, or None."""
    found = _named.get(name)
    return None if found is None else found[0]


def defined_intents() -> list[tuple[NamedIntent, Place]]:
    """Return all intents that have a name, and where they were defined."""
    return list(_named.values())


def _check_name(name: Any, place: Place | None) -> None:
    if not (isinstance(name, str) and name and not set(name) & set(":/\0")):
        why = "a name is a text without : and /"
        raise InvalidDeclaration("name", name, on=_DECORATORS, why=why, place=place)
