"""Heads: whether an HTTP/2 client is in the middle of a head, which h2 does not tell."""

from typing import Final

__all__ = ["Heads"]

_PREFACE: Final = 24  # bytes, RFC 9113 section 3.4
_FRAME: Final = 9  # bytes before what a frame carries, section 4.1
_CARRIES_HEAD: Final = frozenset({1, 9})  # HEADERS and CONTINUATION
_END_HEADERS: Final = 0x4


class Heads:
    """Follows the frames that come, as far as their first nine bytes.

    Attributes:
        begun: Whether a head has begun that is not complete; what a client opens a connection with counts as one.
        count: How many have begun.
    """

    def __init__(self) -> None:
        self.begun = self._goes_on = True
        self.count = 1
        self._payload = _PREFACE
        self._frame = b""

    def __repr__(self) -> str:
        return f"<Heads, {'one' if self.begun else 'none'} begun>"

    def take(self, data: bytes) -> None:
        """Follow the next bytes."""
        at = 0
        while at < len(data):
            if self._payload:
                step = min(self._payload, len(data) - at)
                self._payload -= step
            else:
                step = min(_FRAME - len(self._frame), len(data) - at)
                self._frame += data[at : at + step]
                if len(self._frame) < _FRAME:
                    return
                self._begin()
            at += step
            if not self._payload:
                self.begun = self._goes_on

    def _begin(self) -> None:
        self._payload = int.from_bytes(self._frame[:3], "big")
        carries = self._frame[3] in _CARRIES_HEAD
        self.count += carries and not self.begun
        self.begun = self.begun or carries
        self._goes_on = carries and not self._frame[4] & _END_HEADERS
        self._frame = b""
