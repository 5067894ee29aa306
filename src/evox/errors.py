"""The one tree of errors. Each says what happened, why, and what to do; constructors take data and write the message.

EvoxError                      id, what, why, fix, place; status (HTTP), exit_code (process), retryable
|- ConfigurationError          exit 78
|  |- UnknownOption            EVX-101   a name in [tool.evox], evox.toml or a builder that means nothing
|  |- InvalidOption            EVX-102   a known option with a value that does not fit
|  `- UnreadableConfiguration  EVX-103   a file that is not TOML or cannot be opened
|- DeclarationError            exit 78
|  |- DuplicateService         EVX-201   two services of one name
|  |- DuplicatePort            EVX-202   two services on one port
|  |- NoService                EVX-203   a file, package or module without a service
|  |- AmbiguousEndpoint        EVX-204   a module-level @get with no or several services to belong to
|  |- UnbindableParameter      EVX-205   an endpoint parameter that nothing in a request can fill
|  |- DuplicateEndpoint        EVX-206   two handlers on one method and path
|  |- InvalidDeclaration       EVX-207   an option of a decorator that does not fit: interval=0, cache="soon"
|  |- LateDeclaration          EVX-208   declared after the service started, so it could have no effect
|  `- NotInjectable            EVX-209   a type that injection cannot make
|- TargetNotFound              EVX-301   exit 2: `evox run` was given something that is not there
|- ImportFailed                EVX-302   exit 78: user code raised while it was imported
|- StartupError                exit 1
|  |- StartupFailed            EVX-401   a start-up hook or lifespan raised
|  |- StartupTimeout           EVX-402   a start-up hook did not finish in time
|  |- AsyncioOnly              EVX-403   exit 78: an asyncio-only library was used under trio
|  `- ServiceGivenUp           EVX-404   crashed too often within its window
|- ServingError
|  |- PortInUse                EVX-501   exit 69
|  `- CannotBind               EVX-502   exit 78
|- OutsideRuntime              EVX-601   a facade was used where no service runs
`- ServiceUnavailable          EVX-602   503, retryable: starting, draining, restarting or failed
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AmbiguousEndpoint",
    "AsyncioOnly",
    "CannotBind",
    "ConfigurationError",
    "DeclarationError",
    "DuplicateEndpoint",
    "DuplicatePort",
    "DuplicateService",
    "EvoxError",
    "ImportFailed",
    "InvalidDeclaration",
    "InvalidOption",
    "LateDeclaration",
    "NoService",
    "NotInjectable",
    "OutsideRuntime",
    "Place",
    "PortInUse",
    "ServiceGivenUp",
    "ServiceUnavailable",
    "ServingError",
    "StartupError",
    "StartupFailed",
    "StartupTimeout",
    "TargetNotFound",
    "UnbindableParameter",
    "UnknownOption",
    "UnreadableConfiguration",
    "place_of",
]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's: ``file`` as given by Python, ``line`` from 1 (0: unknown)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def place_of(target: Any) -> Place | None:
    """Return where a function or class was defined, or None when Python does not know."""
    code = getattr(getattr(target, "__wrapped__", target), "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code is not None else None


class EvoxError(Exception):
    """Base of all errors of Evox.

    Attributes:
        id: Stable identifier, ``EVX-`` and three digits.
        what: What happened, one sentence without a full stop.
        why: The facts that make it so.
        fix: What to do, with the line to write where there is one.
        place: The user's line, where known.
        status: HTTP status when it reaches a client.
        exit_code: Process exit code when it ends ``evox run``.
        retryable: Whether the same call may succeed later.
    """

    id: ClassVar[str] = "EVX-000"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, why: str = "", fix: str = "", place: Place | None = None) -> None:
        super().__init__(what)
        self.what, self.why, self.fix, self.place = what, why, fix, place

    def __str__(self) -> str:
        lines = [f"{self.id}: {self.what}"]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  fix: {self.fix}"] if self.fix else []
        lines += [f"  at:  {self.place}"] if self.place else []
        return "\n".join(lines)


class ConfigurationError(EvoxError):
    """Configuration from a file or the environment is wrong."""

    exit_code = 78


class UnknownOption(ConfigurationError):
    """A name that means nothing where it stands."""

    id = "EVX-101"

    def __init__(self, option: str, *, source: str, known: Iterable[str], place: Place | None = None) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(option.rpartition(".")[2], names, n=1)
        fix = f"write {close[0]!r} instead" if close else f"remove it, or use one of: {', '.join(names)}"
        super().__init__(f"unknown option {option!r}", why=f"{source} has no such option", fix=fix, place=place)


class InvalidOption(ConfigurationError):
    """A known option with a value that does not fit. The value is not repeated where it may be a secret."""

    id = "EVX-102"

    def __init__(self, option: str, *, source: str, why: str, place: Place | None = None) -> None:
        super().__init__(
            f"option {option!r} has a value that does not fit",
            why=why,
            fix=f"correct {option!r} in {source}",
            place=place,
        )


class UnreadableConfiguration(ConfigurationError):
    """A configuration file that is not TOML or cannot be opened."""

    id = "EVX-103"

    def __init__(self, file: str, error: Exception) -> None:
        super().__init__(
            f"cannot read {file}",
            why=str(error),
            fix="correct the file, or remove it to use the defaults",
            place=Place(file),
        )


class DeclarationError(EvoxError):
    """Something declared in code cannot be."""

    exit_code = 78


class DuplicateService(DeclarationError):
    """Two services of one name."""

    id = "EVX-201"

    def __init__(self, name: str, places: Sequence[Place | None]) -> None:
        super().__init__(
            f"two services are named {name!r}",
            why="a name is how a service is found by the others: " + " and ".join(map(str, filter(None, places))),
            fix=f'give one of them another name, e.g. service("{name}-2")',
            place=places[-1],
        )


class DuplicatePort(DeclarationError):
    """Two services on one port."""

    id = "EVX-202"

    def __init__(self, port: int, names: Sequence[str], place: Place | None) -> None:
        super().__init__(
            f"port {port} is declared by two services",
            why=f"{' and '.join(map(repr, names))} cannot both listen on it",
            fix=f'change one: service("{names[-1]}").port({port + 1}), or run all under one port with --gateway',
            place=place,
        )


class NoService(DeclarationError):
    """Nothing to run was found."""

    id = "EVX-203"

    def __init__(self, target: str, *, hint: str = "", place: Place | None = None) -> None:
        super().__init__(
            f"no service in {target}",
            why=hint or "no module there creates one at its top level",
            fix='create one: svc = service("my-service"), or Service.from_fastapi(app, name="my-service")',
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

    def __init__(self, endpoint: str, why: str, place: Place | None) -> None:
        super().__init__(
            f"endpoint {endpoint!r} has a parameter that cannot be bound",
            why=why,
            fix="annotate it with a type that pydantic can validate, or fill it with Depends(...) or inject(...)",
            place=place,
        )


class DuplicateEndpoint(DeclarationError):
    """Two handlers on one method and path."""

    id = "EVX-206"

    def __init__(self, method: str, path: str, names: Sequence[str], places: Sequence[Place | None]) -> None:
        where = " and ".join(f"{name} ({place})" for name, place in zip(names, places, strict=True))
        super().__init__(
            f"{method} {path} has two handlers",
            why=f"{where}; the second would never be called",
            fix="change the path or the method of one, or merge them",
            place=places[-1],
        )


class InvalidDeclaration(DeclarationError, ValueError):
    """An option of a decorator or builder that does not fit."""

    id = "EVX-207"

    def __init__(self, option: str, value: object, *, on: str, why: str, place: Place | None = None) -> None:
        super().__init__(
            f"{option}={value!r} on {on} does not fit", why=why, fix=f"correct {option}= there", place=place
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


class TargetNotFound(EvoxError):
    """`evox run` was given something that is not there."""

    id = "EVX-301"
    exit_code = 2

    def __init__(
        self,
        target: str,
        *,
        why: str = "it is neither a file, a folder nor an importable module",
        fix: str = "",
    ) -> None:
        super().__init__(
            f"cannot find {target!r}",
            why=why,
            fix=fix or "name a .py file, a folder, a module or module:attribute",
        )


class ImportFailed(EvoxError):
    """User code raised while it was imported. The cause holds the user's own error."""

    id = "EVX-302"
    exit_code = 78

    def __init__(self, module: str, error: BaseException, place: Place | None = None) -> None:
        super().__init__(
            f"cannot import {module}",
            why=f"{type(error).__name__}: {error}",
            fix="correct the line below",
            place=place,
        )


class StartupError(EvoxError):
    """A service did not start."""

    exit_code = 1


class StartupFailed(StartupError):
    """A start-up hook or lifespan raised. The cause holds the user's own error."""

    id = "EVX-401"

    def __init__(self, service: str, hook: str, error: BaseException, place: Place | None = None) -> None:
        super().__init__(
            f"{hook} of service {service!r} failed",
            why=f"{type(error).__name__}: {error}",
            fix="correct the hook; what had started was shut down again",
            place=place,
        )


class StartupTimeout(StartupError):
    """A start-up hook did not finish in time."""

    id = "EVX-402"

    def __init__(self, service: str, hook: str, limit: float, place: Place | None = None) -> None:
        super().__init__(
            f"{hook} of service {service!r} did not finish within {limit:g} s",
            why="start-up is bounded, so that a hanging dependency is seen",
            fix=f'make it faster, or raise the limit: service("{service}").start_timeout({limit * 2:g})',
            place=place,
        )


class AsyncioOnly(StartupError):
    """An asyncio-only library was used under trio."""

    id = "EVX-403"
    exit_code = 78

    def __init__(self, where: str, error: BaseException, place: Place | None = None) -> None:
        super().__init__(
            f"{where} uses an asyncio-only library, but the loop is trio",
            why=f"{type(error).__name__}: {error}",
            fix='run it with --backend asyncio, or set backend = "asyncio" in [tool.evox]',
            place=place,
        )


class ServiceGivenUp(StartupError):
    """Crashed too often within its window, so it is not restarted again."""

    id = "EVX-404"

    def __init__(self, service: str, failures: int, window: float, error: BaseException) -> None:
        super().__init__(
            f"service {service!r} failed {failures} times within {window:g} s and is given up",
            why=f"last error: {type(error).__name__}: {error}",
            fix="correct the error; allow more with .restart(max_restarts=..., window=...)",
        )


class ServingError(EvoxError):
    """A socket cannot be served."""

    exit_code = 78


class PortInUse(ServingError):
    """Another process listens there."""

    id = "EVX-501"
    exit_code = 69

    def __init__(self, host: str, port: int, service: str) -> None:
        super().__init__(
            f"port {port} on {host} is in use",
            why=f"service {service!r} is to listen there, and another process already does",
            fix=f"stop it (ss -ltnp 'sport = :{port}' names it), or choose another with --port or .port(...)",
        )


class CannotBind(ServingError):
    """The operating system refuses the address."""

    id = "EVX-502"

    def __init__(self, host: str, port: int, service: str, error: OSError) -> None:
        super().__init__(
            f"cannot listen on {host}:{port} for service {service!r}",
            why=error.strerror or str(error),
            fix="choose an address of this machine with --host and a port you may use (1024 or above)",
        )


class OutsideRuntime(EvoxError, RuntimeError):
    """A facade was used where no service runs."""

    id = "EVX-601"

    def __init__(self, asked_for: str) -> None:
        super().__init__(
            f"{asked_for} was used outside a running service",
            why="it resolves to the runtime that the current task belongs to, and there is none here",
            fix="use it in a handler, hook or background task; in tests inside `async with evox.testing.running(svc)`",
        )


class ServiceUnavailable(EvoxError):
    """The service exists but takes no requests now."""

    id = "EVX-602"
    status = 503
    retryable = True

    def __init__(self, service: str, state: str) -> None:
        super().__init__(
            f"service {service!r} is {state.lower()} and takes no requests now",
            why="it is starting, draining, restarting or was given up",
            fix="try again after the seconds named in Retry-After",
        )
