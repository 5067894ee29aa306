"""Protocol: what is known of any connection, whoever serves it."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import anyio

from evox.serving.complaints import Reason

__all__ = ["GONE", "LAST_CALL", "LINGER", "Addresses", "Complain", "ServingStatistics", "addresses_of"]

# What reading from or writing to a client that has gone raises.
GONE: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
# After our last byte the client may still be sending: reading on for so many seconds keeps its kernel from dropping
# our answer.
LINGER: Final = 1.0
# At the end of a drain an idle connection is read for so many seconds, because a request may be on its way.
LAST_CALL: Final = 0.25

Addresses: TypeAlias = tuple[tuple[str, int] | None, tuple[str, int] | None]
# Takes note of what a client does wrong: why, and what exactly.
Complain: TypeAlias = Callable[[Reason, str], None]
_INET: Final = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class ServingStatistics:
    """Connections of one listener.

    Attributes:
        connections: Open now.
        total: Accepted since the start.
        complaints: What clients did wrong, by reason, e.g. ``{"malformed": 3}``.
    """

    connections: int
    total: int
    complaints: Mapping[str, int]


def addresses_of(raw: socket.socket) -> Addresses:
    """Return the client's address and ours; None where the connection is within the machine and has none.

    Raises:
        OSError: if the client has left already.
    """
    return _address(raw.family, raw.getpeername()), _address(raw.family, raw.getsockname())


def _address(family: int, name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if family in _INET else None
