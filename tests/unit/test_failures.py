"""Failures: a group becomes its causes, a traceback the user's own lines, and all of it fits on a screen."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evox
from evox.durations import seconds
from evox.errors import EvoxError, Place, StartupFailed
from evox.failures import causes, describe, facts_of, root_cause, user_frames


class Left(BaseException):
    """Like a cancellation: no ordinary error."""


def caught(action: Any) -> BaseException:
    try:
        action()
    except BaseException as error:  # noqa: BLE001  what is caught is what is tested
        return error
    raise AssertionError("nothing was raised")


def user_line(path: Path, source: str) -> BaseException:
    """Run a user's file and return the error that it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return caught(lambda: exec(compile(source, str(path), "exec"), {}))


def nested() -> BaseExceptionGroup[BaseException]:
    inner = ExceptionGroup("inner", [ValueError("a"), KeyError("b")])
    return BaseExceptionGroup("outer", [Left(), ExceptionGroup("middle", [inner]), OSError("c")])


def test_what_an_error_says_moves_no_cursor_and_has_an_end() -> None:
    lines = describe(ValueError("\x1b[31mred\x07\x9b" + "x" * 20_000)).splitlines()
    assert lines[0].startswith("error: ValueError: \\x1b[31mred\\x07\\x9bxxx")
    assert max(map(len, lines)) < 2_100
    assert all(line.isprintable() for line in lines)


def test_a_place_without_a_line_is_not_read_for_its_text() -> None:
    """What broke: naming a device as output file read it for ever, into memory."""
    error = EvoxError("it cannot be written", place=Place("/dev/full"))
    assert describe(error).splitlines() == ["error EVX-000: it cannot be written", "  at   /dev/full"]
    assert describe(EvoxError("odd", place=Place("/dev/zero", 3))).splitlines()[-1] == "  at   /dev/zero:3"


def test_an_error_alone_is_its_own_cause() -> None:
    error = ValueError()
    assert list(causes(error)) == [error]


def test_nested_groups_are_flattened_in_order() -> None:
    assert [type(leaf) for leaf in causes(nested())] == [Left, ValueError, KeyError, OSError]


def test_the_root_cause_of_a_group_is_its_first_ordinary_error() -> None:
    assert repr(root_cause(nested())) == repr(ValueError("a"))


def test_the_root_cause_of_a_group_without_ordinary_errors_is_its_first() -> None:
    left = Left()
    assert root_cause(BaseExceptionGroup("", [left, Left()])) is left


def test_the_standard_library_is_left_out_of_the_frames() -> None:
    def hook(value: Any) -> Any:
        raise ValueError("mine")

    frames = user_frames(caught(lambda: json.loads("{}", object_hook=hook)))
    assert {place.file for place in frames} == {__file__}
    assert frames[-1].line == hook.__code__.co_firstlineno + 1


def test_evox_itself_is_left_out_of_the_frames() -> None:
    frames = user_frames(caught(lambda: seconds("soon")))
    assert {place.file for place in frames} == {__file__}


def test_installed_libraries_are_left_out_of_the_frames() -> None:
    import pydantic

    frames = user_frames(caught(lambda: pydantic.TypeAdapter(int).validate_python("many")))
    assert {place.file for place in frames} == {__file__}


def test_frames_come_outermost_first() -> None:
    def outer() -> None:
        inner()

    def inner() -> None:
        raise ValueError

    lines = [place.line for place in user_frames(caught(outer))]
    assert lines[-2:] == [outer.__code__.co_firstlineno + 1, inner.__code__.co_firstlineno + 1]


def test_a_context_manager_between_two_lines_of_the_user_hides_neither() -> None:
    @contextlib.contextmanager
    def session() -> Iterator[None]:
        yield
        raise ValueError("on exit")

    def use() -> None:
        with session():
            pass

    frames = user_frames(caught(use))
    assert len(frames) == 3
    assert {place.file for place in frames} == {__file__}


def test_a_syntax_error_is_placed_on_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    assert user_frames(user_line(path, "x = 1\ny = = 2\n"))[-1] == Place(str(path), 2)


def test_a_folder_whose_name_begins_like_ours_is_the_users_own(tmp_path: Path) -> None:
    """A project beside a source checkout is not a part of it because its name begins alike."""
    path = Path(evox.__file__).parent.with_name("evox_users") / "app.py"
    error = caught(lambda: exec(compile("1 / 0", str(path), "exec"), {}))
    assert user_frames(error)[-1] == Place(str(path), 1)


def test_an_error_of_ours_shows_id_what_why_fix_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("first\n  the line\n", encoding="utf-8")
    error = EvoxError("it broke", why="of this", fix="do that", place=Place(str(tmp_path / "app.py"), 2))
    assert describe(error).splitlines() == [
        "error EVX-000: it broke",
        "  why  of this",
        "  fix  do that",
        "  at   app.py:2    the line",
    ]


def test_an_error_of_ours_shows_the_users_lines_of_its_cause(tmp_path: Path) -> None:
    cause = user_line(tmp_path / "app.py", "def connect():\n    1 / 0\nconnect()\n")
    error = caught(lambda: raise_from(StartupFailed("users", "hook", cause, Place("elsewhere.py", 9)), cause))
    lines = describe(error).splitlines()[-2:]
    assert [line.split(maxsplit=2)[1:] for line in lines] == [
        [f"{tmp_path / 'app.py'}:3", "connect()"],
        [f"{tmp_path / 'app.py'}:2", "1 / 0"],
    ]


def test_an_error_of_ours_that_knows_no_line_shows_who_called(tmp_path: Path) -> None:
    error = user_line(tmp_path / "app.py", "from evox.errors import EvoxError\nraise EvoxError('it broke')\n")
    assert describe(error).splitlines()[-1] == f"  at   {tmp_path / 'app.py'}:2    raise EvoxError('it broke')"


def test_facts_for_machines_are_those_that_are_shown() -> None:
    place = Place("app.py", 2)
    assert facts_of(ExceptionGroup("", [EvoxError("it broke", why="of this", fix="do that", place=place)])) == {
        "id": "EVX-000",
        "type": "EvoxError",
        "what": "it broke",
        "why": "of this",
        "fix": "do that",
        "at": ["app.py:2"],
    }
    assert facts_of(ValueError("a")) == {"type": "ValueError", "what": "a", "at": []}


def test_no_password_is_shown_in_a_message_a_line_or_a_traceback(tmp_path: Path) -> None:
    error = user_line(tmp_path / "app.py", "raise LookupError('postgresql://me:hun@ter2@host/db')\n")
    text = describe(error, trace=True)
    assert text.count("postgresql://***@host/db") >= 3
    assert "ter2" not in text


def raise_from(error: BaseException, cause: BaseException) -> None:
    raise error from cause


def test_an_ordinary_error_shows_its_type_its_words_and_the_users_line(tmp_path: Path) -> None:
    error = user_line(tmp_path / "app.py", "raise LookupError('gone')\n")
    first, *_, last = describe(error).splitlines()
    assert first == "error: LookupError: gone"
    assert last.endswith("app.py:1    raise LookupError('gone')")


def test_a_group_shows_each_of_its_causes_and_no_word_of_the_group() -> None:
    text = describe(ExceptionGroup("the group", [ValueError("a"), ExceptionGroup("x", [KeyError("b")])]))
    assert text.splitlines() == ["error: ValueError: a", "", "error: KeyError: 'b'"]


def test_the_same_error_from_many_tasks_is_shown_once() -> None:
    text = describe(ExceptionGroup("", [ValueError("a") for _ in range(20)]))
    assert text == "error: ValueError: a"


def many_causes() -> BaseException:
    return ExceptionGroup("", [ValueError(f"number {n}") for n in range(40)])


def deep_recursion() -> BaseException:
    def deeper(n: int) -> None:
        if n:
            deeper(n - 1)
        raise ValueError("deep")

    return caught(lambda: deeper(60))


def long_message() -> BaseException:
    return ValueError("\n".join(f"line {n}" for n in range(100)))


def long_reason() -> BaseException:
    return StartupFailed("users", "startup hook 'connect'", long_message(), None)


@pytest.mark.parametrize("make", [many_causes, deep_recursion, long_message, long_reason])
def test_R3_a_report_has_at_most_25_lines_whatever_it_reports(make: Any) -> None:
    assert len(describe(make()).splitlines()) <= 25


@pytest.mark.parametrize("make", [many_causes, long_message])
def test_a_report_that_was_cut_says_how_to_see_the_rest(make: Any) -> None:
    assert "shown with --trace" in describe(make())


def test_a_long_reason_does_not_push_out_what_to_do() -> None:
    assert "  fix  correct the hook; what had started was shut down again" in describe(long_reason()).splitlines()[:25]


def test_a_trace_adds_the_whole_traceback() -> None:
    error = caught(lambda: seconds("soon"))
    text = describe(error, trace=True)
    assert text.startswith(describe(error))
    assert "Traceback (most recent call last)" in text
    assert "durations.py" in text


class Mute(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_shown_is_told_of_all_the_same() -> None:
    shown = describe(ExceptionGroup("several", [Mute(), ValueError("a")]), trace=True)
    assert "error: Mute: it cannot be shown: its own __str__ fails" in shown
    assert "error: ValueError: a" in shown
    assert facts_of(Mute())["what"] == "it cannot be shown: its own __str__ fails"
