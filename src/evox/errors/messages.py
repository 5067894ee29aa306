"""Messages: what somebody logs, as one text without secrets. Called for the lines of the log, and what is kept of it.

Arguments are looked through before they become a text: what says by its type or its name that it is a secret does so no
longer afterwards.
"""

from collections.abc import Mapping
from typing import Any

from evox.errors.secrets import masked, redacted

__all__ = ["message_of"]


def message_of(said: Any, arguments: Any = ()) -> str:
    """Return a message with its arguments; those that do not fit stand behind it. Never raises."""
    try:
        text = said if isinstance(said, str) else str(redacted(said))
        if not arguments:
            return masked(text)
        if isinstance(arguments, Mapping):
            return masked(text % redacted(arguments))
        return masked(text % tuple(map(_argument, arguments)))
    except Exception:  # noqa: BLE001  a line that is written badly is better than none
        return f"{redacted(said)} {redacted(arguments)}"


def _argument(value: Any) -> Any:
    """Return what a message is to show of an argument: of what holds others, and of bytes, only what may be shown."""
    if isinstance(value, Mapping | list | tuple | set | frozenset | bytes | bytearray):
        return redacted(value)
    return value
