"""Data: errors of intents, keys, values and the backends that keep them. Secrets in URLs never appear in them."""

from evox.errors.base import EvoxError
from evox.errors.configuration import ConfigurationError

__all__ = [
    "BackendRefused",
    "BackendUnavailable",
    "CapacityExceeded",
    "CorruptValue",
    "DataError",
    "InsideTransaction",
    "InvalidKey",
    "MissingExtra",
    "RecursiveLoader",
    "SourceTimeout",
    "TransactionAborted",
    "TransactionLost",
    "UnserializableValue",
    "UnsupportedSchema",
    "ValueTooLarge",
    "WriteOutcomeUnknown",
]


class MissingExtra(ConfigurationError):
    """What was configured needs packages that are not installed."""

    id = "EVX-104"

    def __init__(self, wanted: str, extra: str) -> None:
        super().__init__(
            f"{wanted} needs packages that are not installed",
            why=f"they come with the extra {extra!r}",
            fix=f'pip install "evox-framework[{extra}]"',
        )


class BackendRefused(ConfigurationError):
    """A backend was reached and refuses us: wrong password, no such database, not able to do what is asked of it."""

    id = "EVX-105"

    def __init__(self, backend: str, why: str, *, fix: str = "") -> None:
        super().__init__(
            f"{backend} refuses us", why=why, fix=fix or "correct its URL in [tool.evox.data], or the server"
        )


class DataError(EvoxError):
    """A read or write of data failed."""


class BackendUnavailable(DataError):
    """The backend did not answer in time, or cannot be reached. Nothing was changed."""

    id = "EVX-701"
    status = 503
    retryable = True

    def __init__(self, backend: str, why: str) -> None:
        super().__init__(
            f"{backend} is not available",
            why=why,
            fix='start it, or declare fallback="aggressive" where an old value is better than none',
        )


class WriteOutcomeUnknown(DataError):
    """A write was sent and its answer never came: it may have been done or not."""

    id = "EVX-702"
    status = 503

    def __init__(self, backend: str, key: str, why: str) -> None:
        super().__init__(
            f"it is not known whether {backend} has written {key!r}",
            why=why,
            fix="read the key to learn it, or write the same value again",
        )
        self.key = key


class CapacityExceeded(DataError):
    """There is no room. Records are never dropped to make some."""

    id = "EVX-703"
    status = 507

    def __init__(self, backend: str, why: str, *, fix: str) -> None:
        super().__init__(f"{backend} has no room", why=why, fix=fix)


class InvalidKey(DataError, ValueError):
    """A key that cannot be one."""

    id = "EVX-704"

    def __init__(self, key: object, why: str, *, fix: str) -> None:
        shown = f"{key:.40}..." if isinstance(key, str) and len(key) > 40 else repr(key)
        super().__init__(f"{shown} is no key", why=why, fix=fix)


class UnserializableValue(DataError, TypeError):
    """A value that cannot be stored, or would not come back as it was."""

    id = "EVX-705"

    def __init__(self, what: str, why: str, *, fix: str) -> None:
        super().__init__(f"{what} cannot be stored", why=why, fix=fix)


class ValueTooLarge(DataError):
    """A value over the limit."""

    id = "EVX-706"
    status = 507

    def __init__(self, key: str, size: int, limit: int) -> None:
        super().__init__(
            f"the value of {key!r} is too large",
            why=f"it takes {size} bytes, and {limit} are allowed",
            fix="store less, or raise value_bytes in [tool.evox.data]",
        )


class CorruptValue(DataError):
    """What is stored cannot be read back."""

    id = "EVX-707"

    def __init__(self, key: str, why: str) -> None:
        super().__init__(
            f"the value of {key!r} cannot be read",
            why=why,
            fix="write it anew, or delete it; nothing was changed",
        )


class RecursiveLoader(DataError):
    """A loader that reads what it is to load would wait for itself."""

    id = "EVX-708"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the loader of {key!r} reads {key!r}",
            why="it would wait for itself",
            fix="read the source in the loader, and not what it fills",
        )


class SourceTimeout(DataError, TimeoutError):
    """A loader, or an endpoint whose answers are kept, took longer than its intent allows."""

    id = "EVX-709"
    status = 504
    retryable = True

    def __init__(self, key: str, limit: float) -> None:
        super().__init__(
            f"the source of {key!r} did not answer within {limit:g} s",
            why="timeout= of its intent says how long it may take",
            fix="make it faster, or give it more time",
        )


class TransactionAborted(DataError):
    """A transaction whose block ended well and was undone all the same, as the database had given it up before."""

    id = "EVX-710"

    def __init__(self, database: str, why: str) -> None:
        super().__init__(
            f"{database} has undone the transaction",
            why=why,
            fix="let the error end the block, or write `async with db.transaction():` around the statement that may "
            "fail: within another it is a savepoint, and undone alone",
        )


class InsideTransaction(DataError):
    """A transaction of the same task holds the file that is to be written to."""

    id = "EVX-711"

    def __init__(self, backend: str) -> None:
        super().__init__(
            f"{backend} is held by a transaction of this task",
            why="a SQLite file has one writer, and db.transaction() is it until the block ends",
            fix="use data_io after the block, or give it a file of its own: [tool.evox.data] database = ...",
        )


class TransactionLost(DataError):
    """A transaction ended while a task that was begun in it was still using it. It was rolled back."""

    id = "EVX-712"

    def __init__(self, database: str) -> None:
        super().__init__(
            f"a transaction on {database} ended while it was being used",
            why="a task that was started in it had a statement or a savepoint open, so it was rolled back",
            fix="end such tasks within the block (a task group does), or start them with svc.start_soon(...)",
        )


class UnsupportedSchema(ConfigurationError):
    """The store was made by another version of Evox."""

    id = "EVX-106"

    def __init__(self, backend: str, found: int | str, known: int) -> None:
        super().__init__(
            f"{backend} has schema version {found}, and this Evox knows {known}",
            why="a newer Evox has used it; to write in it could lose what that has stored",
            fix="install the newer Evox, or name another database",
        )
