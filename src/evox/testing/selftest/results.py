"""Results: what became of one check, and the two ways in which a check ends early."""

from dataclasses import dataclass

__all__ = ["Failed", "Result", "Skipped", "counted"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check.

    Attributes:
        group: ``"connection"``, ``"framework"`` or ``"services"``.
        name: What was to hold.
        ok: Whether it holds; a check that was skipped is none that failed.
        skipped: Whether it was not looked at.
        why: Of a failure what was seen, what was expected and what to do, a line each; of a skipped one the reason;
            else what was measured, or nothing.
        seconds: How long it took.
    """

    group: str
    name: str
    ok: bool
    skipped: bool = False
    why: str = ""
    seconds: float = 0.0


class Failed(Exception):
    """A check does not hold.

    Args:
        seen: What was seen.
        expected: What was expected.
        fix: What to do.
    """

    def __init__(self, seen: str, expected: str, fix: str) -> None:
        super().__init__(seen)
        self.seen, self.expected, self.fix = seen, expected, fix

    def __str__(self) -> str:
        return f"saw {self.seen}\nexpected {self.expected}\ndo {self.fix}"


class Skipped(Exception):
    """There is nothing to look at; the text says why."""


def counted(number: int, what: str) -> str:
    """Return a number of things in words: ``"1 operation"``, ``"2 operations"``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
