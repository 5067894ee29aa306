"""Plan: files compared with what a database says was applied. Pure: it reads nothing and changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from evox.data.migrations.files import Migration
from evox.errors import MigrationRefused

__all__ = ["Applied", "Plan", "compare"]


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of the ledger.

    Attributes:
        number: Of the file.
        name: Of the file, as it was then.
        sha256: Of its text, as it was then.
        applied_at: ISO 8601, in UTC.
        duration: Seconds; None if it was begun outside of a transaction, and nobody noted its end.
    """

    number: int
    name: str
    sha256: str
    applied_at: str
    duration: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        applied: What was applied, in order.
        pending: What is to be applied, in order.
        later: What is not, as the end was named.
        notes: What may be worth a look.
    """

    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]
    later: tuple[Migration, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_open_end(self) -> bool:
        """Whether the end of a file is not noted: another run is about it, or was ended."""
        return any(row.duration is None for row in self.applied)


def compare(
    files: Sequence[Migration], applied: Sequence[Applied], *, to: int | None = None, running: bool = False
) -> Plan:
    """Return what is to be done.

    Args:
        files: All there are, in order.
        applied: The ledger.
        to: The last number to apply; all by default.
        running: Whether another run may be about it, so that it is no matter yet if the end of a file is not noted.

    Raises:
        MigrationRefused: if what was applied is not what the files say, or a file comes too late.
    """
    rows = sorted(applied, key=lambda row: row.number)
    by_number = {one.number: one for one in files}
    for row in rows:
        _check_row(row, by_number.get(row.number), running=running)
    last = rows[-1].number if rows else -1
    known = {row.number for row in rows}
    late = next((one for one in files if one.number < last and one.number not in known), None)
    if late is not None:
        newest = max(one.number for one in files)
        raise MigrationRefused(
            f"{late.name} comes too late",
            f"{rows[-1].name} was applied already, and files are applied in the order of their numbers",
            fix=f"give it a number above {newest:04}",
            place=late.place(),
        )
    if to is not None and to not in by_number:
        numbers = ", ".join(f"{one.number:04}" for one in files[-10:]) or "none"
        raise MigrationRefused(f"no file has the number {to:04}", f"there are: {numbers}", fix="name one of those")
    ahead = [one for one in files if one.number > last]
    pending = tuple(one for one in ahead if to is None or one.number <= to)
    notes = _gaps(pending, last if rows else 0)
    if to is not None and to < last:
        notes.append(f"{rows[-1].name} was applied already: what was applied is never taken back")
    return Plan(tuple(rows), pending, tuple(ahead[len(pending) :]), tuple(notes))


def _check_row(row: Applied, file: Migration | None, *, running: bool) -> None:
    if row.duration is None and not running:
        raise MigrationRefused(
            f"{row.name} was begun and may have been done or not",
            "it is run outside of a transaction, and the run of "
            f"{row.applied_at} has not noted its end: it goes on, or was ended",
            fix=f"look into the database, then: evox sync db --done {row.number:04} if it is there, --undone "
            f"{row.number:04} if not",
            place=file.place() if file is not None else None,
        )
    if file is None:
        raise MigrationRefused(
            f"{row.name} is gone",
            f"it was applied at {row.applied_at}, and another database would be made without it",
            fix="put it back, and write what is to change into a new file",
        )
    if file.name != row.name:
        raise MigrationRefused(
            f"{file.name} is {row.name} under another name",
            f"it was applied at {row.applied_at}" + ("" if file.sha256 == row.sha256 else ", and held something else"),
            fix=f"name it {row.name} again; if it is a new file, give it another number",
            place=file.place(),
        )
    if file.sha256 != row.sha256:
        raise MigrationRefused(
            f"{file.name} is not what it was when it was applied",
            f"it was applied at {row.applied_at}, and is never applied twice; nothing was changed now",
            fix="put it back as it was, and write what is to change into a new file",
            place=file.place(),
        )


def _gaps(pending: Sequence[Migration], before: int) -> list[str]:
    """Note numbers that are left out; those that are times have nothing but gaps."""
    notes = []
    for one in pending:
        if before and one.number > before + 1 and one.number < 1_000_000:
            missing = f"{before + 1:04}" if one.number == before + 2 else f"{before + 1:04} to {one.number - 1:04}"
            notes.append(f"there is no {missing} before {one.name}; what takes the number later comes too late")
        before = one.number
    return notes
