"""Priority: three levels, by name in any case, the highest first."""

import pytest

from evox.scheduling import Priority


@pytest.mark.parametrize(
    ("text", "level"),
    [("high", Priority.HIGH), ("MEDIUM", Priority.MEDIUM), ("Low", Priority.LOW)],
)
def test_a_level_is_named_in_any_case(text: str, level: Priority) -> None:
    assert Priority.parse(text) is level


@pytest.mark.parametrize("level", list(Priority))
def test_a_level_is_itself(level: Priority) -> None:
    assert Priority.parse(level) is level


def test_there_are_three_levels_and_the_highest_sorts_first() -> None:
    assert sorted(Priority, reverse=True) == [Priority.LOW, Priority.MEDIUM, Priority.HIGH]


@pytest.mark.parametrize("value", ["", "urgent", "high ", "0", 0, 1, None, True, ["high"]])
def test_anything_else_is_refused_and_the_levels_are_named(value: object) -> None:
    with pytest.raises(ValueError, match='"high", "medium" and "low"'):
        Priority.parse(value)  # type: ignore[arg-type]
