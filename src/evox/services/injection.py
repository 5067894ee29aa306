"""Injection: ``inject(Type)``, ``inject.config(name)``, constructor injection, and overrides scoped to one runtime.

Outside a running service ``inject(...)`` gives a marker, which may stand as a parameter's default, annotation or
``Annotated`` metadata and is resolved for each call. Inside one it gives the value. A container belongs to one
running service: an instance is made once for it, when it is first asked for.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, Final, Generic, TypeVar, cast, get_args, get_origin, get_type_hints, overload
from weakref import WeakSet

from fastapi import params
from pydantic import BaseModel, ValidationError

from evox.config import in_code
from evox.context import current_service, handle_of, maybe_service
from evox.data import Database
from evox.errors import InvalidOption, NotInjectable, OutsideRuntime, place_of
from evox.services.sections import ConfigSection

__all__ = ["Container", "Inject", "Injected", "Key", "Overrides", "inject", "is_resolver", "marker_of"]

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Key:
    """What is asked for: a type, or a named configuration section with or without a model."""

    kind: str
    name: Any
    model: type[BaseModel] | None = None

    def plain(self) -> "Key":
        """Return the key without its model: an override of a section stands whatever model it is asked for with."""
        return Key(self.kind, self.name)

    def __str__(self) -> str:
        if self.kind == "db":
            return "inject.db()"
        if self.kind == "type":
            return f"inject({getattr(self.name, '__name__', self.name)})"
        return f"inject.{self.kind}({self.name!r})"


_resolvers: WeakSet[Any] = WeakSet()


class Injected(params.Depends, Generic[T]):
    """A value that will be there when a call runs; made by ``inject(...)`` outside a running service.

    It is a FastAPI dependency, so it may also stand in a dependency's parameters, a WebSocket's, and an existing app's.
    """

    def __init__(self, key: Key) -> None:
        async def resolve() -> Any:
            return current_service(str(key)).resolve(key)

        _resolvers.add(resolve)
        super().__init__(dependency=resolve)
        object.__setattr__(self, "_key", key)

    def __repr__(self) -> str:
        return f"<{self._key}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._key.kind == "service":
            return getattr(handle_of(self._key.name), name)  # it is as lazy as this
        raise OutsideRuntime(str(self._key))

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse: there is nothing to call yet. Being callable lets it stand as an annotation."""
        raise OutsideRuntime(str(self._key))


def is_resolver(call: Any) -> bool:
    """Return whether FastAPI calls this for something that is injected."""
    return isinstance(call, FunctionType) and call in _resolvers


class Overrides:
    """What tests put in place of real things, for one runtime. The latest override of a thing stands.

    Attributes:
        state: Grows with each change, so that what was built under an earlier state is not used again.
    """

    def __init__(self) -> None:
        self._stacks: dict[Key, list[list[Any]]] = {}
        self.state = 0

    @contextmanager
    def put(self, thing: Any, fake: Any) -> Iterator[None]:
        """Replace a type, or what ``inject.config(...)`` gave at import, for the time of a ``with`` block."""
        key = _key_of(thing).plain()
        entry = [fake]
        self._stacks.setdefault(key, []).append(entry)
        self.state += 1
        try:
            yield
        finally:
            left = [one for one in self._stacks[key] if one is not entry]
            self._stacks[key] = left
            if not left:
                del self._stacks[key]
            self.state += 1

    def __bool__(self) -> bool:
        return bool(self._stacks)

    def __contains__(self, key: Key) -> bool:
        return key.plain() in self._stacks

    def fake(self, key: Key) -> Any:
        """Return what stands in place of ``key``."""
        return self._stacks[key.plain()][-1][0]


class Container:
    """Makes and keeps the instances of one running service.

    Args:
        providers: Declared factories and instances, by type.
        overrides: The runtime's overrides; they win.
        configuration: Returns the values of a named section.
        models: Declared models of named sections.
        database: Makes the service's SQL database.
    """

    def __init__(
        self,
        providers: Mapping[type, Any],
        overrides: Overrides,
        configuration: Callable[[str], Mapping[str, Any]],
        models: Mapping[str, type[BaseModel]],
        database: Callable[[], Any],
    ) -> None:
        self._database = database
        self._providers = providers
        self._overrides = overrides
        self._configuration = configuration
        self._models = models
        self._made: dict[Key, Any] = {}
        self._needs: dict[Key, set[Key]] = {}
        self._under_overrides: dict[Key, Any] = {}
        self._state = overrides.state
        self._making: list[tuple[Key, set[Key]]] = []
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<Container of {len(self._made)} instances>"

    def __contains__(self, key: Key) -> bool:
        return key.name in self._providers or key in self._overrides

    def resolve(self, thing: Any) -> Any:
        """Return the value for a type, key or marker.

        Raises:
            NotInjectable: if it cannot be made.
            InvalidOption: if a configuration section does not fit its model.
        """
        key = _key_of(thing)
        if not self._overrides and not self._making and key in self._made:
            return self._made[key]
        with self._lock:
            value = self._find(key)
            for _, needs in self._making:
                needs |= {key, *self._needs.get(key, ())}
            return value

    def _find(self, key: Key) -> Any:
        """Return an instance: one built under the present overrides where they concern it, else the real one."""
        if self._state != self._overrides.state:
            self._under_overrides.clear()
            self._state = self._overrides.state
        if key in self._under_overrides:
            return self._under_overrides[key]
        if key in self._made and not self._concerned(key):
            return self._made[key]
        fake = self._overrides.fake(key) if key in self._overrides else None
        value = (
            self._make(key, fake if inspect.isclass(fake) else None) if fake is None or inspect.isclass(fake) else fake
        )
        kept = self._under_overrides if self._concerned(key) else self._made
        kept[key] = value
        return value

    def _concerned(self, key: Key) -> bool:
        return bool(self._overrides) and any(one in self._overrides for one in (key, *self._needs.get(key, ())))

    def _make(self, key: Key, fake: type | None) -> Any:
        if key.kind == "config" and fake is None:
            return self._section(key)
        if key.kind == "db" and fake is None:
            return self._database()
        if key.kind == "service" and fake is None:
            return handle_of(key.name)
        if any(key == earlier for earlier, _ in self._making):
            chain = " -> ".join(self._shown(one) for one in [*dict(self._making), key])
            raise NotInjectable(self._shown(key), f"the constructors need each other: {chain}", place_of(key.name))
        needs: set[Key] = set()
        self._making.append((key, needs))
        try:
            provider = fake or self._providers.get(key.name, _NOTHING)
            if provider is _NOTHING:
                if not _is_own(key.name):
                    raise NotInjectable(self._shown(key), "it says nothing of what it stands for")
                provider = key.name
            made = inspect.isclass(provider) or inspect.isfunction(provider) or inspect.ismethod(provider)
            value = self.construct(provider) if made else provider
        finally:
            self._making.pop()
        self._needs[key] = needs
        return value

    def _shown(self, key: Key) -> str:
        stands = self._overrides.fake(key) if key in self._overrides else key.name
        return str(getattr(stands, "__name__", stands))

    def _section(self, key: Key) -> Any:
        values = self._configuration(key.name)
        model = key.model or self._models.get(key.name)
        if model is None:
            return ConfigSection(key.name, values)
        try:
            return model.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            option = ".".join(["config", key.name, *map(str, first["loc"])])
            raise InvalidOption(option, source="the configuration", why=first["msg"]) from None

    def construct(self, factory: Callable[..., Any]) -> Any:
        """Call a class or factory, filling its parameters.

        Raises:
            NotInjectable: if a parameter cannot be filled, or the class is abstract.
        """
        name = getattr(factory, "__name__", repr(factory))
        if inspect.isabstract(factory) or getattr(factory, "_is_protocol", False):
            raise NotInjectable(name, "it is abstract, so there is nothing to make", place_of(factory))
        function = getattr(factory, "__init__") if inspect.isclass(factory) else factory  # noqa: B009
        place = place_of(function)
        try:
            signature = inspect.signature(factory)
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError, ValueError) as error:
            raise NotInjectable(name, f"its parameters cannot be read: {error}", place) from None
        values: dict[str, Any] = {}
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            annotation = hints.get(parameter.name, parameter.annotation)
            marker = marker_of(parameter.default, annotation)
            if marker is not None:
                values[parameter.name] = self.resolve(marker)
            elif parameter.default is parameter.empty:
                if annotation is parameter.empty or (not _is_own(annotation) and Key("type", annotation) not in self):
                    why = f"parameter {parameter.name!r} of {name} has no injectable type and no default"
                    raise NotInjectable(name, why, place)
                values[parameter.name] = self.resolve(annotation)
        return factory(**values)


_NOTHING: Final = object()


def _is_own(kind: Any) -> bool:
    """Whether a type is one that somebody wrote for a purpose, rather than Python's own."""
    return inspect.isclass(kind) and kind.__module__ not in ("builtins", "typing")


class Inject:
    """The facade exported as ``inject``."""

    def __repr__(self) -> str:
        return "<inject>"

    def __call__(self, kind: type[T]) -> T:
        """Return the running service's instance of a type; outside one, a marker for a parameter."""
        return cast(T, _give(Key("type", kind)))

    @overload
    def config(self, name: str) -> ConfigSection: ...
    @overload
    def config(self, name: str, model: type[M]) -> M: ...
    def config(self, name: str, model: type[BaseModel] | None = None) -> Any:
        """Return one of your own configuration sections, validated by ``model`` or by the one the service declared."""
        return _give(Key("config", name, model))

    def db(self) -> Database:
        """Return the service's SQL database; a marker for a parameter outside a running service.

        It is ``database`` of ``[tool.evox.data]``, else the service's backend if that is one, else SQLite in
        ``.evox/<service>.db`` below the project.
        """
        return cast("Database", _give(Key("db", "db")))

    def service(self, name: str) -> Any:
        """Return the handle of another service, by the name that it was given; as ``proxy.user_service`` is.

        At import it may stand as a parameter's default or annotation, or be called as it is.

        Args:
            name: The service's name, e.g. ``"user-service"``.
        """
        return _give(_service_key(name))

    def override(self, thing: Any, fake: Any) -> Any:
        """Put ``fake`` in place of ``thing`` for the time of a ``with`` block, in the current runtime only.

        Args:
            thing: A type, or what ``inject.config(...)`` or ``inject.db()`` gave at import time.
            fake: An instance, or a class to be made by injection.

        Raises:
            OutsideRuntime: if no runtime is current; in tests use ``env.override``.
        """
        return current_service("inject.override(...)").runtime.override(thing, fake)


inject = Inject()


def marker_of(default: Any, annotation: Any) -> Injected[Any] | None:
    """Return the marker in a parameter's default, annotation or ``Annotated`` metadata, or None."""
    if isinstance(default, Injected):
        return default
    if isinstance(annotation, Injected):
        return annotation
    if get_origin(annotation) is Annotated:
        return next((one for one in get_args(annotation)[1:] if isinstance(one, Injected)), None)
    return None


def _give(key: Key) -> Any:
    """Return the value inside a running service, else a marker.

    Parameters are declared in the body of a module or class, so there it is a marker even while a service runs, as when
    a handler imports the module of another service.
    """
    scope = maybe_service()
    if scope is None or not sys._getframe(2).f_code.co_flags & inspect.CO_OPTIMIZED:  # noqa: SLF001  only functions have it
        return Injected[Any](key)
    return scope.resolve(key)


def _service_key(name: str) -> Key:
    """Return the key of another service, however its name is written."""
    return Key("service", in_code(name))


def _key_of(thing: Any) -> Key:
    if isinstance(thing, Key):
        return thing
    if isinstance(thing, Injected):
        return cast("Key", thing._key)  # noqa: SLF001  the marker hides its key from everyone but this module
    name = getattr(thing, "__evox_service__", None)
    if name is not None and not inspect.isclass(thing):
        return _service_key(name)
    if not inspect.isclass(thing):
        raise NotInjectable(repr(thing), "it is not a type")
    return Key("type", thing)
