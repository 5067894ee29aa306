"""Idempotency: errors of requests that bring an ``Idempotency-Key``. Clients see them as 409, 422 and 400."""

from evox.errors.base import EvoxError

__all__ = ["IdempotencyConflict", "IdempotencyMismatch", "InvalidIdempotencyKey"]


class IdempotencyConflict(EvoxError):
    """A request with the same idempotency key is still running."""

    id = "EVX-606"
    status = 409
    retryable = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            f"a request to {endpoint} with the same idempotency key is still running",
            why="a key stands for one run, and that one has no answer yet",
            fix="try again after Retry-After seconds, to be given its answer",
        )


class IdempotencyMismatch(EvoxError):
    """An idempotency key was used before, for a request with another body or query."""

    id = "EVX-607"
    status = 422

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            f"the idempotency key was used before for another request to {endpoint}",
            why="the body, the query or the credentials of this one are not the same",
            fix="send a new key with each new request, and the same key only to repeat one",
        )


class InvalidIdempotencyKey(EvoxError):
    """An ``Idempotency-Key`` that cannot be one."""

    id = "EVX-608"
    status = 400

    def __init__(self, why: str) -> None:
        super().__init__(
            "the Idempotency-Key cannot be one: it has 1 to 255 printable ASCII characters, and is sent once",
            why=why,
            fix="send a random one, such as a UUID, or leave it out",
        )
