"""Priority: the three levels a request can have. A lower number goes first."""

import enum

__all__ = ["Priority"]


class Priority(enum.IntEnum):
    """A level of admission."""

    HIGH = 0
    MEDIUM = 1
    LOW = 2

    @property
    def label(self) -> str:
        """The level's name, as users write it: ``"high"``, ``"medium"`` or ``"low"``."""
        return _LABELS[self]

    @classmethod
    def parse(cls, value: "Priority | str") -> "Priority":
        """Return the level named by ``"high"``, ``"medium"`` or ``"low"``, in any case.

        Raises:
            ValueError: if there is no such level.
        """
        if isinstance(value, cls):
            return value
        try:
            return cls[str(value).upper()]
        except KeyError:
            raise ValueError('priorities are "high", "medium" and "low"') from None


_LABELS = tuple(level.name.lower() for level in Priority)
