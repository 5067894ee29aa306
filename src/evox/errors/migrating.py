"""Migrating: errors of `evox sync db`. Whatever they say, no file is ever half applied."""

from evox.errors.base import Place
from evox.errors.data import DataError

__all__ = ["MigrationFailed", "MigrationRefused", "MigrationsLocked"]


class MigrationRefused(DataError):
    """Files of migrations, or what the database says was applied of them, are not as they must be."""

    id = "EVX-713"
    exit_code = 1

    def __init__(self, what: str, why: str, *, fix: str, place: Place | None = None) -> None:
        super().__init__(what, why=why, fix=fix, place=place)


class MigrationFailed(DataError):
    """A migration failed in the database, and was taken back as a whole."""

    id = "EVX-714"
    exit_code = 1

    def __init__(self, file: str, why: str, *, fix: str = "", place: Place | None = None) -> None:
        default = "correct it, and run evox sync db again: nothing of this file was kept"
        super().__init__(f"{file} failed", why=why, fix=fix or default, place=place)


class MigrationsLocked(DataError):
    """Another run, or another writer of the same SQLite file, did not end in time."""

    id = "EVX-715"
    exit_code = 1

    def __init__(self, database: str, why: str, waited: float) -> None:
        super().__init__(
            f"{why} on {database}",
            why=f"it did not end within {waited:g} s, and only one may change the database at a time",
            fix="run it again when that has ended, or wait longer: evox sync db --wait 10m",
        )
