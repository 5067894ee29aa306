"""Declaration: errors of what the user's code declares. They end the process with 78, before anything starts."""

from collections.abc import Sequence

from evox.errors.base import EvoxError, Place

__all__ = [
    "AmbiguousEndpoint",
    "DeclarationError",
    "DuplicateEndpoint",
    "DuplicatePort",
    "DuplicateService",
    "InvalidDeclaration",
    "LateDeclaration",
    "NoService",
    "NotInjectable",
    "UnbindableParameter",
]


class DeclarationError(EvoxError):
    """Something declared in code cannot be."""

    exit_code = 78


class DuplicateService(DeclarationError):
    """Two services of one name."""

    id = "EVX-201"

    def __init__(self, name: str, places: Sequence[Place | None], other: str | None = None) -> None:
        alike = f"services {other!r} and {name!r} have names that mean the same"
        super().__init__(
            f"two services are named {name!r}" if other in (None, name) else alike,
            why="a name is how a service is found by the others, with dashes as underscores: "
            + " and ".join(map(str, filter(None, places))),
            fix=f'give one of them another name, e.g. service("{name}-2")',
            place=places[-1],
        )


class DuplicatePort(DeclarationError):
    """Two services on one port."""

    id = "EVX-202"

    def __init__(self, port: int, names: Sequence[str], place: Place | None, *, free: int) -> None:
        super().__init__(
            f"port {port} is declared by two services",
            why=f"{' and '.join(map(repr, names))} cannot both listen on it",
            fix=f'change one: service("{names[-1]}").port({free}), or run all under one port with --gateway',
            place=place,
        )


class NoService(DeclarationError):
    """Nothing to run was found."""

    id = "EVX-203"

    def __init__(self, target: str, *, hint: str = "", fix: str = "", place: Place | None = None) -> None:
        super().__init__(
            f"no service in {target}",
            why=hint or "no module there creates one at its top level",
            fix=fix or 'create one: svc = service("my-service"), or Service.from_fastapi(app, name="my-service")',
            place=place,
        )


class AmbiguousEndpoint(DeclarationError):
    """A module-level decorator with no service, or several, to belong to."""

    id = "EVX-204"

    def __init__(self, function: str, module: str, services: Sequence[str], place: Place | None) -> None:
        count = "no service" if not services else "several services: " + ", ".join(map(repr, services))
        super().__init__(
            f"module-level endpoint {function!r} does not know its service",
            why=f"module {module} has {count}",
            fix="name the service it belongs to: @svc.get(...) instead of @get(...)",
            place=place,
        )


class UnbindableParameter(DeclarationError):
    """An endpoint parameter that nothing in a request can fill."""

    id = "EVX-205"

    def __init__(self, endpoint: str, why: str, place: Place | None, *, fix: str = "") -> None:
        super().__init__(
            f"endpoint {endpoint!r} has a parameter that cannot be bound",
            why=why,
            fix=fix
            or "annotate it with a type that pydantic can validate, or fill it with Depends(...) or inject(...)",
            place=place,
        )


class DuplicateEndpoint(DeclarationError):
    """Two handlers on one method and path."""

    id = "EVX-206"

    def __init__(self, method: str, path: str, names: Sequence[str], places: Sequence[Place | None]) -> None:
        where = " and ".join(f"{name} ({place})" if place else name for name, place in zip(names, places, strict=True))
        super().__init__(
            f"{method} {path} has two handlers",
            why=f"{where}; the second would never be called",
            fix="change the path or the method of one, or merge them",
            place=places[-1],
        )


class InvalidDeclaration(DeclarationError, ValueError):
    """An option of a decorator or builder that does not fit."""

    id = "EVX-207"

    def __init__(
        self, option: str, value: object, *, on: str, why: str, fix: str = "", place: Place | None = None
    ) -> None:
        where = "in the line below" if place is not None else f"on {on}"
        super().__init__(
            f"{option}={value!r} on {on} does not fit",
            why=why,
            fix=fix or f"correct {option}= {where}",
            place=place,
        )


class LateDeclaration(DeclarationError):
    """Declared too late to have an effect."""

    id = "EVX-208"

    def __init__(self, what: str, service: str, place: Place | None = None) -> None:
        super().__init__(
            f"{what} was declared after service {service!r} started",
            why="endpoints, hooks and tasks are read once, when the service starts",
            fix="move the declaration to the top level of the module; for work from a handler use svc.start_soon(...)",
            place=place,
        )


class NotInjectable(DeclarationError):
    """A type that injection cannot make."""

    id = "EVX-209"

    def __init__(self, thing: str, why: str, place: Place | None = None) -> None:
        super().__init__(
            f"cannot inject {thing}",
            why=why,
            fix="provide it: svc.provide(Type, factory_or_instance)",
            place=place,
        )
