"""Requirements: what a caller must be, declared on endpoints, controllers and data types.

Decorators leave a mark and may stand in any order with others. Two on one target must both be met. What a method says
stands in place of what its controller says, key by key: one that names no roles keeps the controller's.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from evox.auth.principal import Principal
from evox.errors import InvalidDeclaration, NotAllowed, NotAuthenticated, Place, place_of
from evox.failures import user_line
from evox.marks import mark, marks

__all__ = [
    "Clause",
    "Requirement",
    "anything_declared",
    "declared_on_types",
    "protected_types",
    "public",
    "require_intent",
    "require_roles",
    "requirement_of",
    "requirements_within",
]

T = TypeVar("T")
LAYERS: Final = 20  # decorators around one function
_INNER: Final = ("func", "__func__", "__wrapped__")  # of partials, of static and bound methods, of what wraps names
MARK: Final = "auth"
_ALIASES: Final = ("NewType", "TypeAliasType")  # of typing, or of typing_extensions before Python 3.12
_types: dict[type, None] = {}  # in order, and for ever: a class that a decorator has replaced still tells that one asks
_declared = False  # whether anything at all asks who calls; where nothing does, nobody pays for it


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that a caller must be.

    Attributes:
        intent_type: What is intended, by its name; shown in the matrix, in OpenAPI and in logs.
        roles: Any of these will do; empty: everybody whose token is good.
    """

    intent_type: str | None = None
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = " or ".join(self.roles) or "anybody who is known"
        return who if self.intent_type is None else f"{who}, to {self.intent_type}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """All that is asked of a caller; ``public`` asks nothing."""

    clauses: tuple[Clause, ...] = ()
    public: bool = False

    def __str__(self) -> str:
        return "public" if self.public else "; ".join(map(str, self.clauses))

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles that are named, each once."""
        return tuple(dict.fromkeys(role for clause in self.clauses for role in clause.roles))

    @property
    def intent_types(self) -> tuple[str, ...]:
        """All intents that are named."""
        return tuple(clause.intent_type for clause in self.clauses if clause.intent_type is not None)

    def over(self, outer: "Requirement | None") -> "Requirement":
        """Return what holds where this stands nearer than ``outer``: its roles, or else those of ``outer``."""
        if outer is None or outer.public or self.public or self.roles:
            return self
        return Requirement((*self.clauses, *(Clause(None, one.roles) for one in outer.clauses if one.roles)))

    def is_met_by(self, principal: Principal) -> bool:
        """Whether a caller is what is asked."""
        return self.public or self.refusal(principal) is None

    def refusal(self, principal: Principal) -> str | None:
        """Return why a caller may not, for logs; None if it may."""
        if self.public or principal.kind == "system":
            return None
        if not principal.is_authenticated:
            return "nobody has said who calls"
        for clause in self.clauses:
            if clause.roles and principal.roles.isdisjoint(clause.roles):
                return f"it wants {clause}, and {principal} has none of those roles"
        return None

    def check(self, principal: Principal, target: str) -> None:
        """Let a caller pass.

        Args:
            principal: Who calls.
            target: What is called, for the message.

        Raises:
            NotAuthenticated: if it is not known who calls.
            NotAllowed: if a clause is not met.
        """
        why = self.refusal(principal)
        if why is None:
            return
        if not principal.is_authenticated:
            raise NotAuthenticated(target, why)
        raise NotAllowed(target, why)


def require_intent(intent_type: str, required_roles: Iterable[str] | None = None) -> Callable[[T], T]:
    """Let only callers with one of some roles do something that has a name.

    Stands on endpoints, on controllers as the default of their methods, and on data types: ``data_io`` then asks it of
    whoever reads or writes values of the type.

    Args:
        intent_type: What is intended, e.g. ``"user_write"``.
        required_roles: Any of these will do; left out: everybody whose token is good.

    Raises:
        InvalidDeclaration: if there is no name, or the roles are empty or not texts.
    """
    on = "@auth.require_intent"
    if not (isinstance(intent_type, str) and intent_type.strip()):
        why = 'it is a name such as "user_write"'
        raise InvalidDeclaration("intent_type", intent_type, on=on, why=why, place=user_line(__name__))
    roles = () if required_roles is None else _roles(required_roles, "required_roles", on)
    return _declare(Requirement((Clause(intent_type, roles),)), on)


def require_roles(*roles: str) -> Callable[[T], T]:
    """Let only callers with one of these roles in. Stands where ``require_intent`` does.

    Raises:
        InvalidDeclaration: if there are none, or one is not a text.
    """
    on = "@auth.require_roles"
    return _declare(Requirement((Clause(None, _roles(roles, "roles", on)),)), on)


def public(target: T) -> T:
    """Let everybody in. A token that comes along still says who calls.

    Stands on endpoints, on controllers, and on what else an app may have: WebSockets, raw routes, mounted apps.
    """
    return _declare(Requirement(public=True), "@auth.public")(target)


def requirement_of(*targets: Any) -> Requirement | None:
    """Return what is declared on functions, apps or classes: on each, on what it wraps, and on the class that it is of.

    All that is found must be met; only what is public throughout is public. What a class says stands in place of what
    its bases say, but for their roles if it names none; one that says nothing asks what all its bases do.
    """
    return _together(found for one in targets for found in _declared_on(one))


def requirements_within(annotation: Any) -> tuple[Requirement, ...]:
    """Return what the types in an annotation ask: ``list[UserProfile]`` asks what ``UserProfile`` does."""
    return tuple(dict.fromkeys(_within(annotation, set())))


def anything_declared() -> bool:
    """Whether anything in the process asks something of callers."""
    return _declared


def declared_on_types() -> bool:
    """Whether any class of the process that is no controller asks something of who uses its values."""
    return any(True for _ in protected_types())


def protected_types() -> Iterator[type]:
    """Yield the classes that ask something of who uses their values."""
    return (kind for kind in list(_types) if "Controller" not in marks(kind))


def _declared_on(target: Any) -> Iterator[Requirement | None]:
    if inspect.isclass(target):
        yield _of_class(target)
        return
    for _ in range(LAYERS):
        yield marks(target).get(MARK)
        kind = type(getattr(target, "__self__", target))  # of a bound method: what it is bound to
        yield _of_class(kind)
        yield from (marks(vars(base).get("__call__")).get(MARK) for base in kind.__mro__)
        inner = next((one for name in _INNER if (one := getattr(target, name, None)) is not None), None)
        if inner is None or inspect.isclass(inner):
            return
        target = inner


def _of_class(kind: type) -> Requirement | None:
    own: Requirement | None = marks(kind).get(MARK)
    written = (get_origin(base) or base for base in vars(kind).get("__orig_bases__", ()))  # of a TypedDict: only there
    bases = dict.fromkeys((*kind.__bases__, *written))
    outer = _together(_of_class(base) for base in bases if inspect.isclass(base))
    return outer if own is None else own.over(outer)


def _together(found: Iterable[Requirement | None]) -> Requirement | None:
    several = [one for one in found if one is not None]
    if not several:
        return None
    clauses = tuple(dict.fromkeys(clause for one in several for clause in one.clauses))
    return Requirement(clauses, public=not clauses)


def _within(annotation: Any, seen: set[int]) -> Iterator[Requirement]:
    """Yield what is asked by what an annotation is made of; a class that asks speaks for all that is in it."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    if type(annotation).__name__ in _ALIASES:
        yield from _within(getattr(annotation, "__supertype__", None) or annotation.__value__, seen)
        return
    found = requirement_of(annotation) if inspect.isclass(annotation) else None
    if found is not None:
        yield from () if found.public else (found,)
        return
    generic = getattr(annotation, "__pydantic_generic_metadata__", None) or {}
    for one in (get_origin(annotation), *get_args(annotation), *generic.get("args", ()), *_fields(annotation)):
        yield from _within(one, seen)


def _fields(kind: Any) -> Iterable[Any]:
    """Return the annotations of what a class of values consists of."""
    if not inspect.isclass(kind):
        return ()
    if issubclass(kind, BaseModel):
        return [field.annotation for field in kind.model_fields.values()]
    # __total__ is of TypedDict, be it that of typing or of typing_extensions
    if not (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields") or hasattr(kind, "__total__")):
        return ()
    try:
        return get_type_hints(kind).values()
    except (NameError, TypeError, AttributeError):  # of names that are not there at run time nothing can be asked
        return getattr(kind, "__annotations__", {}).values()


def _roles(roles: Any, option: str, on: str) -> tuple[str, ...]:
    place = user_line(__name__)
    if isinstance(roles, str) or not isinstance(roles, Iterable):
        raise InvalidDeclaration(option, roles, on=on, why='it is a list of roles: ["admin"]', place=place)
    named = tuple(roles)
    if not named:
        why = "with no role in it nobody could pass; leave it out to let everybody in whose token is good"
        raise InvalidDeclaration(option, list(named), on=on, why=why, place=place)
    for role in named:
        if not (isinstance(role, str) and role and role.isprintable() and role == role.strip()):
            why = f"{role!r} is no role: it is a text as it stands in tokens"
            raise InvalidDeclaration(option, list(named), on=on, why=why, place=place)
    return tuple(dict.fromkeys(named))


def _declare(requirement: Requirement, on: str) -> Callable[[T], T]:
    global _declared  # noqa: PLW0603  it goes one way, from False to True
    place = user_line(__name__)
    _declared = _declared or not requirement.public

    def declare(target: T) -> T:  # its name is looked for where it was meant to be called and was not
        marked: Any = target
        if isinstance(target, staticmethod | classmethod):
            marked = target.__func__
        if not callable(marked):
            why = "it stands on an endpoint, a controller, a data type or an app"
            raise InvalidDeclaration("target", target, on=on, why=why, place=place)
        try:
            mark(marked, MARK, requirement, merge=lambda nearer, farther: _both(nearer, farther, on, target, place))
        except AttributeError:
            why = "it takes no marks, as a bound method does not: decorate the function where it is defined"
            raise InvalidDeclaration("target", target, on=on, why=why, place=place) from None
        if inspect.isclass(marked):
            _types[marked] = None
        return target

    return declare


def _both(nearer: Requirement, farther: Requirement, on: str, target: Any, place: Place | None) -> Requirement:
    if nearer.public != farther.public:
        name = getattr(target, "__name__", repr(target))
        why = "it is declared both public and for some callers only"
        raise InvalidDeclaration("target", name, on=on, why=why, place=place_of(target) or place)
    return Requirement(tuple(dict.fromkeys((*farther.clauses, *nearer.clauses))), nearer.public)
