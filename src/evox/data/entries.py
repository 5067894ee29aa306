"""Entries: one stored value with its times, and the envelope in which it is written to backends outside the process.

The envelope is ``evx``, a format number, a checksum, the times, and the value. Another format number is taken for
nothing at all; a checksum that does not fit is a fault, and is never mistaken for a value.
"""

import math
import struct
import zlib
from typing import Any, Final, NamedTuple

__all__ = [
    "DATA",
    "EVICTABLE",
    "FORM",
    "FORMAT",
    "FRESH_UNTIL",
    "KEEP_UNTIL",
    "NOTHING",
    "STORED_AT",
    "TAGS",
    "VERSION",
    "Entry",
    "Row",
    "open_envelope",
    "seal_envelope",
]

FORMAT: Final = 1
NOTHING: Final = b"null"  # what says in JSON that there is none
_HEAD: Final = struct.Struct(">3sBI")  # magic, format, checksum of all that follows
_TIMES: Final = struct.Struct(">cddd")  # form, stored, fresh until, kept until
_MAGIC: Final = b"evx"


Row = tuple[Any, ...]
"""An entry's fields as a plain tuple. The garbage collector does not look at those twice; of 300,000 objects of a class
each full collection would make a pause."""
DATA, FORM, STORED_AT, FRESH_UNTIL, KEEP_UNTIL, EVICTABLE, TAGS, VERSION = range(8)  # where they are in a row


class Entry(NamedTuple):
    """One stored value. Times are seconds of the backend's clock; ``inf`` is never.

    Attributes:
        data: The encoded value.
        form: How it is encoded: ``"j"`` JSON, ``"b"`` plain bytes.
        stored_at: When it was written.
        fresh_until: When it stops being fresh.
        keep_until: When it is gone; later than ``fresh_until`` where a fallback may serve it.
        evictable: Whether it may be dropped to make room.
        tags: Names under which it can be invalidated.
        version: Grows with each change of the store. 0 before it is stored.
    """

    data: bytes
    form: str = "j"
    stored_at: float = 0.0
    fresh_until: float = math.inf
    keep_until: float = math.inf
    evictable: bool = False
    tags: tuple[str, ...] = ()
    version: int = 0

    def __repr__(self) -> str:
        return f"<Entry version {self.version}, {len(self.data)} bytes>"  # a value may be a secret


def seal_envelope(entry: Entry) -> bytes:
    """Return an entry's value and times as bytes. Tags, version and whether it may be dropped are kept beside it."""
    times = _TIMES.pack(entry.form.encode(), entry.stored_at, entry.fresh_until, entry.keep_until)
    return _HEAD.pack(_MAGIC, FORMAT, zlib.crc32(entry.data, zlib.crc32(times))) + times + entry.data


def open_envelope(
    sealed: bytes, *, version: int = 0, evictable: bool = False, tags: tuple[str, ...] = ()
) -> Entry | None:
    """Return the entry in an envelope; None if a version of Evox wrote it whose format is not known here.

    Raises:
        ValueError: if it is no envelope, or was changed since it was written.
    """
    if len(sealed) < _HEAD.size or sealed[:3] != _MAGIC:
        raise ValueError("it was not written by Evox")
    _, number, checksum = _HEAD.unpack_from(sealed)
    if number != FORMAT:
        return None
    start = _HEAD.size + _TIMES.size
    if len(sealed) < start or zlib.crc32(sealed[_HEAD.size :]) != checksum:
        raise ValueError("its checksum does not fit: it was damaged or cut off")
    form, stored_at, fresh_until, keep_until = _TIMES.unpack_from(sealed, _HEAD.size)
    return Entry(sealed[start:], form.decode(), stored_at, fresh_until, keep_until, evictable, tags, version)
