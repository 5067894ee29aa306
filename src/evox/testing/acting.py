"""Acting: the current task of a test works for somebody else, as the handler of that caller's request would."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from evox.auth import ANONYMOUS, Principal, enter_principal, leave_principal

__all__ = ["acting_as"]


@contextmanager
def acting_as(subject: str | None, *, roles: Iterable[str] = ()) -> Iterator[Principal]:
    """Let what is called in a ``with`` block be called on behalf of a user; None: of nobody.

    A test itself is the system principal of the first service that runs. ``auth.current()`` and ``data_io`` see the
    user; requests that the block sends have callers of their own.

    Args:
        subject: The user's name.
        roles: What the user may do.
    """
    principal = ANONYMOUS if subject is None else Principal("user", subject, frozenset(roles))
    token = enter_principal(principal)
    try:
        yield principal
    finally:
        leave_principal(token)
