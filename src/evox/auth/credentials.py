"""Credentials: the one header in which a caller may say who it is. No cookie, query, body or other header is read."""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from evox.errors import MalformedToken

__all__ = ["INTERNAL_SCHEME", "Credentials", "Headers", "claims_internal", "credentials_of"]

INTERNAL_SCHEME: Final = "Evox-Internal"
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]  # as in an ASGI scope: names in lower case
_NAME: Final = b"authorization"
_WRITTEN: Final = re.compile(rb"(?i)(bearer|evox-internal) +([\x21-\x7e]+)")
_OURS: Final = re.compile(rb"(?i)\s*(bearer|evox-internal)\b")


class Credentials(NamedTuple):
    """What a request says of its caller. Nothing of it has been verified.

    Attributes:
        scheme: ``"bearer"`` for a token of a user, ``"internal"`` for one between services.
        token: What follows.
    """

    scheme: Literal["bearer", "internal"]
    token: str

    def __repr__(self) -> str:
        return f"<Credentials {self.scheme}>"


def credentials_of(headers: Headers) -> Credentials | None:
    """Return the credentials of a request; None if it has none, or of a scheme that is not ours.

    Args:
        headers: As in an ASGI scope: names in lower case.

    Raises:
        MalformedToken: if there are several, or they are not written as they have to be.
    """
    given = [value for name, value in headers if name == _NAME]
    if not given:
        return None
    if len(given) > 1:
        raise MalformedToken("there are several Authorization headers")
    found = _WRITTEN.fullmatch(given[0])
    if found is None:
        if _OURS.match(given[0]):
            raise MalformedToken("what follows the scheme is not one token")
        return None
    return Credentials("bearer" if found[1].lower() == b"bearer" else "internal", found[2].decode("ascii"))


def claims_internal(headers: Headers) -> bool:
    """Whether any credentials of a request say, rightly or not, that another service makes it."""
    scheme = INTERNAL_SCHEME.lower().encode()
    return any(name == _NAME and scheme in value.lower() for name, value in headers)
