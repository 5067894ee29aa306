"""Reading: the body of an answer from elsewhere, part by part, and what is told of one that cannot be read.

A peer that sends more than its answer, such as a body with a 204 or after HEAD, loses its connection: the rest would
else be taken for the answer to whichever call comes next.
"""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

import httpx2

from evox.service_proxy.streams import NoAnswer

__all__ = ["named", "read_parts"]

_SAID: Final = re.compile(r":? *(?:bytearray\()?b['\"].*", re.DOTALL)  # bytes of the peer, as h11 shows them
# What came behind an answer: httpcore keeps it for the next one, and says so nowhere else.
_surplus: Final = attrgetter("_stream._httpcore_stream._stream._connection._h11_state.trailing_data")


async def read_parts(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield the parts of a body, and close the connection if there is more behind it.

    Raises:
        NoAnswer: if it breaks off.
    """
    parts: Any = response.stream  # not aiter_raw: it gives the connection back before it can be looked at
    try:
        async for part in parts:
            yield part
        if _has_surplus(response):
            _end(response)
    except httpx2.HTTPError as error:
        raise NoAnswer(f"its answer broke off: {named(error)}", sent=True) from error
    except OSError as error:
        raise NoAnswer(f"its answer broke off: {type(error).__name__}", sent=True) from error


def named(error: Exception) -> str:
    """Return what an error of the client says, without what the peer has sent."""
    text = _SAID.sub("", str(error)) if isinstance(error, httpx2.ProtocolError) else str(error)
    return text[:200] or type(error).__name__


def _has_surplus(response: httpx2.Response) -> bool:
    try:
        data, _ = _surplus(response.stream)
    except AttributeError:
        return False  # another client than the one that this is known of
    return bool(data)


def _end(response: httpx2.Response) -> None:
    """End a connection without closing it: the pool sees that, and closes it before the next call."""
    with suppress(OSError):
        response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
