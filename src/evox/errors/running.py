"""Running: errors of finding, starting, serving and calling services."""

import asyncio

from evox.errors.base import EvoxError, Place
from evox.errors.words import named_words_of

__all__ = [
    "AsyncioOnly",
    "CannotBind",
    "Escaped",
    "ImportFailed",
    "OutsideRuntime",
    "PortInUse",
    "ServiceGivenUp",
    "ServiceUnavailable",
    "ServingError",
    "StartupError",
    "StartupFailed",
    "StartupTimeout",
    "TargetNotFound",
]


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
            why=named_words_of(error),
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
            why=named_words_of(error),
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
            why=named_words_of(error),
            fix="use what runs on both loops, such as anyio.sleep and svc.start_soon; or run it with --backend asyncio",
            place=place,
        )


class ServiceGivenUp(StartupError):
    """Crashed too often within its window, so it is not restarted again."""

    id = "EVX-404"

    def __init__(self, service: str, failures: int, window: float, error: BaseException) -> None:
        super().__init__(
            f"service {service!r} failed {failures} times within {window:g} s and is given up",
            why=f"last error: {named_words_of(error)}",
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


class Escaped(EvoxError):
    """What is no ``Exception`` got out of a handler, a hook, a task or a job, though nobody had asked it to end.

    The cause is what it was: a cancellation of something else, ``SystemExit``, a panic of a library.
    """

    id = "EVX-609"

    def __init__(self, what: str, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            why = "it awaits what was cancelled, and was not cancelled itself"
            fix = "catch asyncio.CancelledError there, and share work between requests with asyncio.shield or data_io"
        else:
            why = f"it raised {named_words_of(error)}, which ends programs, and no service is one"
            fix = "raise an Exception: HTTPException answers a request, and others are logged"
        super().__init__(f"{type(error).__name__} got out of {what}", why=why, fix=fix)


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
