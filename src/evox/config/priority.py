"""Priority: how much may run at once, by level. ``[tool.evox.priority]``, and ``.concurrency(...)`` of a service.

Everything that contradicts itself is refused here, so that whatever admits by these numbers can believe them.
"""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from evox.config.fields import Count, Limit, Number, Table

__all__ = ["PerLevel", "PrioritySettings"]

QUEUE: Final = 1000
LEVELS: Final = ("high", "medium", "low")


class PerLevel(Table):
    """One number for each level."""

    high: Number = 0
    medium: Number = 0
    low: Number = 0

    def of(self, level: str) -> int:
        """Return the number of ``"high"``, ``"medium"`` or ``"low"``."""
        number: int = getattr(self, level)
        return number


class Bounds(PerLevel):
    """How many may wait, by level; a level left out keeps the default."""

    high: Number = QUEUE
    medium: Number = QUEUE
    low: Number = QUEUE


def _spread(queue: Any) -> Any:
    """Take one number for all levels; from the environment it is a text."""
    if isinstance(queue, int | float) or (isinstance(queue, str) and queue.strip().isdecimal()):
        return dict.fromkeys(LEVELS, queue)
    return queue


class PrioritySettings(Table):
    """``[tool.evox.priority]``. What runs at the same time sits on seats; these are how many there are."""

    total: Count = Field(default=200, description="requests that run at the same time, of all levels together")
    high: Count | None = Field(default=None, description="of those, at most so many `high` ones; all by default")
    medium: Count | None = Field(default=None, description="at most so many `medium` ones; four fifths by default")
    low: Count | None = Field(default=None, description="at most so many `low` ones; half by default")
    queue: Annotated[Bounds, BeforeValidator(_spread)] = Field(
        default=Bounds(), description="how many may wait in each level, or `{low = 10}`; one more is answered 503"
    )
    max_wait: Limit = Field(
        default=5.0, description="how long a request may wait, and never over a quarter of the time it has; then 503"
    )
    reserve: PerLevel = Field(
        default=PerLevel(), validate_default=False, description="seats that a level is given first, such as `{low = 2}`"
    )
    per_client: Count | None = Field(
        default=None, description="requests that one client may have running and waiting; one more is 429"
    )

    @field_validator("high", "medium", "low")
    @classmethod
    def _within_total(cls, value: int | None, info: ValidationInfo) -> int | None:
        total = info.data.get("total")
        if value is not None and total is not None and value > total:
            raise ValueError(f"a level cannot have {value} of {total} seats; total is {total}")
        return value

    @field_validator("reserve")
    @classmethod
    def _within_caps(cls, value: PerLevel, info: ValidationInfo) -> PerLevel:
        if "total" not in info.data:
            return value
        given: Any = cls.model_construct(**info.data)
        for level in LEVELS:
            if value.of(level) > given.cap(level):
                raise ValueError(f"{value.of(level)} seats kept for {level!r}, which may have {given.cap(level)}")
        kept = sum(value.of(level) for level in LEVELS)
        if kept > given.total:
            raise ValueError(f"{kept} seats are kept, and there are {given.total}")
        return value

    def cap(self, level: str) -> int:
        """Return how many seats a level may have: as set, else all for high, four fifths for medium, half for low."""
        own: int | None = getattr(self, level)
        if own is not None:
            return own
        return {"high": self.total, "medium": -(-self.total * 4 // 5), "low": -(-self.total // 2)}[level]
