"""Configuration of priority: the defaults, every number that contradicts itself, and the line that says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evox.config import Loaded, PrioritySettings, load
from evox.errors import ConfigurationError, InvalidOption, UnknownOption

Write = Callable[..., Loaded]
LEVELS = ("high", "medium", "low")


@pytest.fixture
def project(tmp_path: Path) -> Write:
    """Write a project's files and load them with an environment of their own."""

    def write(toml: str = "", *, pyproject: str = "", env: dict[str, str] | None = None) -> Loaded:
        for name, text in (("pyproject.toml", pyproject), ("evox.toml", toml)):
            if text:
                (tmp_path / name).write_text(text, encoding="utf-8")
        return load(tmp_path, environ=env or {})

    return write


def refused(kind: type[ConfigurationError], action: Callable[[], object]) -> ConfigurationError:
    with pytest.raises(kind) as caught:
        action()
    return caught.value


def per_level(of: Callable[[str], int]) -> tuple[int, ...]:
    return tuple(of(level) for level in LEVELS)


def test_the_defaults_are_200_seats_and_a_thousand_places_to_wait_in_each_level(project: Write) -> None:
    settings = project().settings.priority
    assert (settings.total, per_level(settings.cap)) == (200, (200, 160, 100))
    assert (per_level(settings.queue.of), per_level(settings.reserve.of)) == ((1000, 1000, 1000), (0, 0, 0))
    assert (settings.max_wait, settings.per_client) == (5.0, None)


CAPS = [(1, (1, 1, 1)), (2, (2, 2, 1)), (3, (3, 3, 2)), (5, (5, 4, 3)), (10, (10, 8, 5)), (1001, (1001, 801, 501))]


@pytest.mark.parametrize(("total", "caps"), CAPS)
def test_a_level_left_out_has_its_share_of_the_total_rounded_up(total: int, caps: tuple[int, ...]) -> None:
    assert per_level(PrioritySettings(total=total).cap) == caps


def test_all_that_can_be_set_is_read_from_pyproject(project: Write) -> None:
    settings = project(
        pyproject="[tool.evox.priority]\ntotal = 10\nhigh = 9\nmedium = 7\nlow = 3\nqueue = { low = 4 }\n"
        'max_wait = "250ms"\nreserve = { medium = 2, low = 1 }\nper_client = 6\n'
    ).settings.priority
    assert (settings.total, per_level(settings.cap)) == (10, (9, 7, 3))
    assert (per_level(settings.queue.of), per_level(settings.reserve.of)) == ((1000, 1000, 4), (0, 2, 1))
    assert (settings.max_wait, settings.per_client) == (0.25, 6)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_one_number_for_the_queue_is_that_of_each_level(project: Write, number: int) -> None:
    queue = project(f"[priority]\nqueue = {number}\n").settings.priority.queue
    assert per_level(queue.of) == (number, number, number)


def test_a_queue_by_level_keeps_the_default_of_those_left_out(project: Write) -> None:
    queue = project("[priority.queue]\nhigh = 7\nlow = 0\n").settings.priority.queue
    assert per_level(queue.of) == (7, 1000, 0)


AT_THE_BOUND = [
    "total = 1\nhigh = 1\nmedium = 1\nlow = 1",
    "total = 10\nlow = 10",
    "total = 10\nlow = 5\nreserve = { low = 5 }",
    "total = 10\nreserve = { high = 2, medium = 3, low = 5 }",
    "total = 10\nreserve = { high = 10 }",
    "per_client = 1",
]


@pytest.mark.parametrize("text", AT_THE_BOUND, ids=range(len(AT_THE_BOUND)))
def test_numbers_at_the_bound_are_taken(project: Write, text: str) -> None:
    assert set(project(f"[priority]\n{text}\n").sources.values()) == {"evox.toml"}


@pytest.mark.parametrize("text", ["5", " 5 "])
def test_the_queue_of_all_levels_can_come_from_the_environment(project: Write, text: str) -> None:
    loaded = project(env={"EVOX_PRIORITY__QUEUE": text})
    assert per_level(loaded.settings.priority.queue.of) == (5, 5, 5)
    assert loaded.sources == {"priority.queue": "the environment (EVOX_PRIORITY__QUEUE)"}


@pytest.mark.parametrize("env", [{"EVOX_PRIORITY__QUEUE": '{"low": 3}'}, {"EVOX_PRIORITY__QUEUE__LOW": "3"}])
def test_the_queue_of_one_level_can_come_from_the_environment(project: Write, env: dict[str, str]) -> None:
    assert per_level(project(env=env).settings.priority.queue.of) == (1000, 1000, 3)


def test_the_reserve_of_one_level_can_come_from_the_environment(project: Write) -> None:
    loaded = project(env={"EVOX_PRIORITY__RESERVE__LOW": "1"})
    assert per_level(loaded.settings.priority.reserve.of) == (0, 0, 1)


def test_the_environment_adds_to_what_the_file_says(project: Write) -> None:
    settings = project("[priority]\ntotal = 10\nlow = 2\n", env={"EVOX_PRIORITY__TOTAL": "4"}).settings.priority
    assert (settings.total, per_level(settings.cap)) == (4, (4, 4, 2))


REFUSED = [
    ("total = 0", "total", 2),
    ("total = -1", "total", 2),
    ("total = true", "total", 2),
    ("total = 2.5", "total", 2),
    ('total = "many"', "total", 2),
    ("total = inf", "total", 2),
    ("total = []", "total", 2),
    *((f"total = 5\n{level} = {bad}", level, 3) for level in LEVELS for bad in ("0", "-1", "6", "true", "nan")),
    ("low = 201", "low", 2),
    ("low = 6\ntotal = 5", "low", 2),
    ("queue = -1", "queue", 2),
    ("queue = true", "queue", 2),
    ("queue = 2.5", "queue", 2),
    ("queue = nan", "queue", 2),
    ('queue = "long"', "queue", 2),
    ("queue = [1, 2, 3]", "queue", 2),
    ("queue = { low = -1 }", "queue.low", 2),
    ("[priority.queue]\nhigh = 1\nlow = -1", "queue.low", 4),
    ("reserve = 1", "reserve", 2),
    ("reserve = { low = -1 }", "reserve.low", 2),
    ("reserve = { low = true }", "reserve.low", 2),
    ("reserve = { low = 101 }", "reserve", 2),
    ("total = 3\nreserve = { high = 4 }", "reserve", 3),
    ("low = 1\nreserve = { low = 2 }", "reserve", 3),
    ("total = 10\nreserve = { high = 4, medium = 4, low = 4 }", "reserve", 3),
    ("total = 10\n[priority.reserve]\nhigh = 6\nlow = 5", "reserve", 3),
    ("per_client = 0", "per_client", 2),
    ("per_client = -1", "per_client", 2),
    ("per_client = true", "per_client", 2),
    ("max_wait = 0", "max_wait", 2),
    ("max_wait = -1", "max_wait", 2),
    ("max_wait = nan", "max_wait", 2),
    ("max_wait = true", "max_wait", 2),
    ('max_wait = "soon"', "max_wait", 2),
]


@pytest.mark.parametrize(("text", "option", "line"), REFUSED, ids=[f"{row[1]}-{n}" for n, row in enumerate(REFUSED)])
def test_a_number_that_contradicts_is_refused_with_its_option_and_line(
    project: Write, tmp_path: Path, text: str, option: str, line: int
) -> None:
    error = refused(InvalidOption, lambda: project(f"[priority]\n{text}\n"))
    assert error.what == f"option 'priority.{option}' has a value that does not fit"
    assert str(error.place) == f"{tmp_path / 'evox.toml'}:{line}"
    assert (error.fix, error.exit_code) == (f"correct 'priority.{option}' in evox.toml", 78)
    assert error.why


def test_the_line_is_that_of_pyproject_when_it_says_so(project: Write, tmp_path: Path) -> None:
    text = "[project]\nname = 'x'\n\n[tool.evox.priority]\ntotal = 5\nlow = 6\n"
    error = refused(InvalidOption, lambda: project(pyproject=text))
    assert str(error.place) == f"{tmp_path / 'pyproject.toml'}:6"


REASONS = [
    ("total = 5\nlow = 6", "a level cannot have 6 of 5 seats; total is 5"),
    ("total = 10\nreserve = { low = 6 }", "6 seats kept for 'low', which may have 5"),
    ("total = 10\nreserve = { high = 6, low = 5 }", "11 seats are kept, and there are 10"),
]


@pytest.mark.parametrize(("text", "why"), REASONS, ids=["cap", "reserve", "sum"])
def test_numbers_that_contradict_each_other_are_both_named(project: Write, text: str, why: str) -> None:
    assert refused(InvalidOption, lambda: project(f"[priority]\n{text}\n")).why == why


UNKNOWN = [
    ("totl = 5", "totl", 2, "write 'total' instead"),
    ("queue = { lo = 1 }", "queue.lo", 2, "write 'low' instead"),
    ("reserve = { urgent = 1 }", "reserve.urgent", 2, "remove it, or use one of: high, low, medium"),
    ("[priority.reserve]\nlow = 1\nmedum = 1", "reserve.medum", 4, "write 'medium' instead"),
]


@pytest.mark.parametrize(("text", "option", "line", "fix"), UNKNOWN, ids=[row[1] for row in UNKNOWN])
def test_an_unknown_level_or_option_is_refused_with_what_was_meant(
    project: Write, tmp_path: Path, text: str, option: str, line: int, fix: str
) -> None:
    error = refused(UnknownOption, lambda: project(f"[priority]\n{text}\n"))
    assert (error.what, error.fix) == (f"unknown option 'priority.{option}'", fix)
    assert str(error.place) == f"{tmp_path / 'evox.toml'}:{line}"


FROM_ENVIRONMENT = [
    ("TOTAL", "0", "total"),
    ("QUEUE", "-1", "queue"),
    ("QUEUE__LOW", "-1", "queue.low"),
    ("RESERVE__LOW", "101", "reserve"),
    ("LOW", "201", "low"),
    ("MAX_WAIT", "0", "max_wait"),
]


@pytest.mark.parametrize(("name", "text", "option"), FROM_ENVIRONMENT)
def test_a_variable_that_does_not_fit_is_refused_and_the_environment_named(
    project: Write, name: str, text: str, option: str
) -> None:
    error = refused(InvalidOption, lambda: project(env={f"EVOX_PRIORITY__{name}": text}))
    assert (error.place, error.fix) == (
        None,
        f"correct 'priority.{option}' in the environment (EVOX_PRIORITY__{name})",
    )


def test_a_queue_below_zero_in_the_environment_is_told_what_a_queue_is(project: Write) -> None:
    error = refused(InvalidOption, lambda: project(env={"EVOX_PRIORITY__QUEUE": "-1"}))
    assert error.why == refused(InvalidOption, lambda: project("[priority]\nqueue = -1\n")).why


@pytest.mark.parametrize("name", ["QUEUE", "RESERVE"])
def test_a_table_in_the_environment_that_is_none_is_named_as_it_was_written(project: Write, name: str) -> None:
    error = refused(InvalidOption, lambda: project(env={f"EVOX_PRIORITY__{name}": "long"}))
    assert f"EVOX_PRIORITY__{name}" in error.fix or f"priority.{name.lower()}" in error.fix


def test_what_was_read_cannot_be_changed() -> None:
    settings: Any = PrioritySettings()
    with pytest.raises(ValidationError):
        settings.total = 5
