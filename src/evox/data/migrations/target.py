"""Target: a database that migrations are applied to, as much of it as applying needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from evox.data.migrations.files import Migration
from evox.data.migrations.plan import Applied
from evox.data.migrations.statements import Statement

__all__ = ["Target", "Writer"]


class Writer(ABC):
    """A database while migrations are applied to it.

    Attributes:
        alone: Whether no other run is about the database meanwhile; else runs take turns file by file.
    """

    alone: bool

    @abstractmethod
    async def applied(self) -> tuple[Applied, ...]:
        """Read the ledger."""

    @abstractmethod
    async def apply(
        self, migration: Migration, statements: Sequence[Statement], known: Sequence[Applied]
    ) -> Applied | None:
        """Apply a file and note it, both or neither.

        Args:
            migration: The file.
            statements: What it holds.
            known: The ledger from which it follows that this file is next.

        Returns:
            Its row, or None if the ledger is another by now, and nothing was done.

        Raises:
            MigrationFailed: if a statement fails; nothing of the file is kept.
            MigrationsLocked: if somebody else writes for too long.
            BackendUnavailable: if the connection is lost; nothing of the file is kept.
        """

    @abstractmethod
    async def resolve(self, number: int, *, done: bool) -> Applied:
        """Note of a file that was begun outside of a transaction that it was done, or that it was not.

        Raises:
            MigrationRefused: if it is not one whose end is unknown.
        """


class Target(ABC):
    """A database.

    Attributes:
        name: Its URL, as it may be shown.
        kind: ``"sqlite"`` or ``"postgresql"``.
    """

    name: str
    kind: str

    @abstractmethod
    async def applied(self) -> tuple[Applied, ...]:
        """Read the ledger; empty if there is none. Makes nothing: no file, and no table.

        Raises:
            BackendUnavailable, BackendRefused: if the database cannot be used.
        """

    @abstractmethod
    def writing(self, wait: float, on_wait: Callable[[], object] = lambda: None) -> AbstractAsyncContextManager[Writer]:
        """Connect for the time of a run.

        Args:
            wait: Seconds to wait for another run to end.
            on_wait: Called once if there is one.

        Raises:
            MigrationsLocked: if it does not end in time.
            BackendUnavailable, BackendRefused: if the database cannot be used.
        """
