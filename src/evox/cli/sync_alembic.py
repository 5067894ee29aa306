"""Alembic: a project that has an ``alembic.ini`` keeps its migrations there, and `evox sync db` hands over to it."""

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evox.cli.programs import Ended, run_program
from evox.errors import MigrationFailed, MigrationRefused, Place

__all__ = ["Revisions", "alembic_command", "look_at_alembic", "upgrade"]

LAST: Final = 6  # lines of alembic's that an error shows
_REVISION: Final = re.compile(r"([\w.-]+)(?: \(.*\))*")


@dataclass(frozen=True, slots=True)
class Revisions:
    """Where a database is, and where it is to be.

    Attributes:
        current: Revisions of the database; none if nothing was applied.
        heads: The newest of the files.
    """

    current: tuple[str, ...]
    heads: tuple[str, ...]

    @property
    def pending(self) -> bool:
        """Whether they differ."""
        return set(self.current) != set(self.heads)


def alembic_command(root: Path) -> list[str]:
    """Return how alembic is run: that of this interpreter, else one on PATH.

    Raises:
        MigrationRefused: if there is none.
    """
    beside = Path(sys.executable).with_name("alembic")
    if beside.is_file():
        return [str(beside)]
    if importlib.util.find_spec("alembic") is not None:
        return [sys.executable, "-m", "alembic"]
    found = shutil.which("alembic")
    if found is None:
        raise MigrationRefused(
            "this project is migrated by alembic, which is not installed",
            "its folder has an alembic.ini, and there is no alembic beside this Python or on PATH",
            fix="pip install alembic, or remove alembic.ini to use files of SQL",
            place=Place(str(root / "alembic.ini")),
        )
    return [found]


def look_at_alembic(root: Path, line: Sequence[str]) -> Revisions:
    """Ask alembic where the database is, and where it is to be. Changes nothing.

    Args:
        root: The project's folder.
        line: From ``alembic_command``.

    Raises:
        MigrationFailed: if alembic fails.
    """
    return Revisions(_revisions(root, line, "current"), _revisions(root, line, "heads"))


def upgrade(root: Path, line: Sequence[str], to: str, on_line: Callable[[str], object]) -> None:
    """Run ``alembic upgrade``.

    Args:
        root: The project's folder.
        line: From ``alembic_command``.
        to: The revision.
        on_line: Told of each line that alembic writes.

    Raises:
        MigrationFailed: if it fails.
    """
    ended = run_program([*line, "upgrade", to], root, on_line=on_line)
    if ended.code != 0:
        raise _failed(root, f"upgrade {to}", ended)


def _revisions(root: Path, line: Sequence[str], what: str) -> tuple[str, ...]:
    ended = run_program([*line, what], root)
    if ended.code != 0:
        raise _failed(root, what, ended)
    found = (_REVISION.fullmatch(one.strip()) for one in ended.out)
    return tuple(one[1] for one in found if one is not None)


def _failed(root: Path, what: str, ended: Ended) -> MigrationFailed:
    return MigrationFailed(
        f"alembic {what}",
        "\n".join(ended.last(LAST)),
        fix="correct what it names, and run evox sync db again; alembic says what it keeps of a revision that fails",
        place=Place(str(root / "alembic.ini")),
    )
