"""Programs: other programs that a command runs, such as uv, Rye and alembic. What they say is shown without secrets."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evox.errors.secrets import masked_line

__all__ = ["Ended", "run_program"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Its exit code; None if it could not be started, or did not end in time.
        out: Lines of its standard output, or of both outputs if they were told one by one.
        err: Lines of its standard error.
    """

    code: int | None
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()

    def last(self, lines: int) -> list[str]:
        """Return the last lines that say something, of errors if there are any."""
        said = [one for one in self.err if one.strip()] or [one for one in self.out if one.strip()]
        return said[-lines:] or ["it says nothing"]


def run_program(
    line: Sequence[str], folder: Path, *, limit: float | None = None, on_line: Callable[[str], object] | None = None
) -> Ended:
    """Run a program to its end. It has no standard input.

    Args:
        line: The program and its arguments.
        folder: Where it runs.
        limit: Seconds that it may take; after them it is killed. Not for one whose lines are told.
        on_line: Told of each line as soon as it is written.
    """
    told: list[str] = []
    try:
        with subprocess.Popen(  # noqa: S603  the user's own tools, from fixed words
            line,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if on_line is None else subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            if on_line is not None and process.stdout is not None:
                for one in process.stdout:
                    told.append(masked_line(one.rstrip()))
                    on_line(told[-1])
            try:
                out, err = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                return Ended(None, err=(f"it did not end within {limit:g} s",))
            except BaseException:
                process.terminate()
                raise
    except OSError as error:
        return Ended(None, err=(error.strerror or str(error),))
    return Ended(process.returncode, (*told, *_lines(out)), _lines(err))


def _lines(text: str | None) -> tuple[str, ...]:
    return tuple(masked_line(one) for one in (text or "").splitlines())
