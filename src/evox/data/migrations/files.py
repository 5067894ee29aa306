"""Files: migrations as they lie in a folder, ``NNNN_name.sql``, read and checked. Nothing is asked of a database."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from evox.errors import MigrationRefused, Place

__all__ = ["Migration", "has_migrations", "read_folder", "read_text"]

FOREIGN_KEYS_OFF: Final = "foreign keys off"
NO_TRANSACTION: Final = "no transaction"
DIRECTIVES: Final = (NO_TRANSACTION, FOREIGN_KEYS_OFF)
_NAME: Final = re.compile(r"(\d{4,18})_[A-Za-z0-9_-]+\.sql")
_DIRECTIVE: Final = re.compile(r"^--[ \t]*evox:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes:
        number: Its place in the order.
        name: The file's name.
        path: Where it is.
        text: What it holds, with line ends normalised.
        sha256: Of the text.
        directive: What its first line says to us; ``""`` if nothing.
    """

    number: int
    name: str
    path: Path
    text: str = field(repr=False)
    sha256: str = field(repr=False)
    directive: str = ""

    @property
    def outside(self) -> bool:
        """Whether its one statement is run outside of a transaction."""
        return self.directive == NO_TRANSACTION

    @property
    def without_foreign_keys(self) -> bool:
        """Whether foreign keys are checked at its end only (SQLite)."""
        return self.directive == FOREIGN_KEYS_OFF

    def place(self, line: int = 0) -> Place:
        """Return a line of it."""
        return Place(str(self.path), line)


def has_migrations(folder: Path) -> bool:
    """Whether there is any file of SQL in a folder itself."""
    return any(_is_sql(path) for path in _listed(folder))


def read_folder(folder: Path) -> tuple[Migration, ...]:
    """Read the migrations of a folder, in order. Files that are not of SQL are left alone.

    Raises:
        MigrationRefused: if one has a bad name, a number that another has, or holds what cannot be run.
    """
    found = sorted((_read(path) for path in _listed(folder) if _is_sql(path)), key=lambda one: (one.number, one.name))
    for first, second in pairwise(found):
        if first.number == second.number:
            raise MigrationRefused(
                f"{first.name} and {second.name} have one number",
                "numbers say in which order files are applied",
                fix=f"give the newer one a number above {found[-1].number:04}",
                place=second.place(),
            )
    return tuple(found)


def read_text(path: Path) -> str:
    """Return the text of a file, with the line ends of Unix and without a byte order mark.

    Raises:
        MigrationRefused: if it cannot be read, or is no text in UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MigrationRefused(
            f"{path.name} cannot be read", error.strerror or str(error), fix="let this user read it", place=_at(path)
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        why = f"line {line} has a byte that is none of UTF-8: 0x{data[error.start]:02x}"
        fix = "save it in UTF-8"
        raise MigrationRefused(f"{path.name} is no text in UTF-8", why, fix=fix, place=_at(path)) from None
    if "\0" in text:
        why = f"line {text[: text.index(chr(0))].count(chr(10)) + 1} has a NUL character, and no statement may"
        raise MigrationRefused(f"{path.name} is no text", why, fix="take it out", place=_at(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        why, fix = error.strerror or str(error), "let this user read it"
        raise MigrationRefused(f"{folder} cannot be read", why, fix=fix, place=_at(folder)) from None


def _is_sql(path: Path) -> bool:
    return path.suffix.lower() == ".sql"


def _read(path: Path) -> Migration:
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise MigrationRefused(
            f"{path.name} is no name of a migration",
            "it is a number of four digits or more, _ and a name of letters, digits, _ and -",
            fix="name it as 0001_create_people.sql is, or move it elsewhere",
            place=_at(path),
        )
    text = read_text(path)
    return Migration(
        int(named[1]), path.name, path, text, hashlib.sha256(text.encode()).hexdigest(), _directive(path, text)
    )


def _directive(path: Path, text: str) -> str:
    """Return what the first line says to us. One that stands elsewhere, or is misspelt, would be passed over."""
    found = _DIRECTIVE.search(text)
    if found is None:
        return ""
    line = text[: found.start()].count("\n") + 1
    if line > 1 or found[1] not in DIRECTIVES:
        known = " and ".join(f"`-- evox: {one}`" for one in DIRECTIVES)
        why = "it stands below the first line" if line > 1 else f"there are {known}"
        fix = "make it the first line" if line > 1 else "write one of those, or take it out"
        what = f"{path.name} has `-- evox: {found[1]}`, which means nothing there"
        raise MigrationRefused(what, why, fix=fix, place=Place(str(path), line))
    return found[1]


def _at(path: Path) -> Place:
    return Place(str(path))
