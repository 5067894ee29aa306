"""Base: what every error of Evox has, and places in the user's code."""

from dataclasses import dataclass
from typing import Any, ClassVar

from evox.errors.secrets import masked

__all__ = [
    "EvoxError",
    "Place",
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
    """Base of all errors of Evox. Passwords in URLs are taken out of what it says, however they came there.

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
        self.what, self.why, self.fix, self.place = masked(what), masked(why), masked(fix), place
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [f"{self.id}: {self.what}"]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  fix: {self.fix}"] if self.fix else []
        lines += [f"  at:  {self.place}"] if self.place else []
        return "\n".join(lines)
