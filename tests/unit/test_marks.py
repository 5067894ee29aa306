"""Marks: what decorators leave on functions and classes, in whatever order they stand."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from evox.marks import mark, marks, seal

T = TypeVar("T")


def plain() -> Any:
    def function() -> None: ...

    return function


def marked(key: str, value: Any) -> Callable[[T], T]:
    def decorate(target: T) -> T:
        mark(target, key, value)
        return target

    return decorate


def test_a_target_without_marks_has_none() -> None:
    assert marks(plain()) == {}


def test_a_mark_is_found_on_the_function_it_was_written_on() -> None:
    function = plain()
    mark(function, "Intent", 1)
    assert marks(function) == {"Intent": 1}


def test_marks_of_different_kinds_stand_side_by_side_in_either_order() -> None:
    @marked("a", 1)
    @marked("b", 2)
    def one_way() -> None: ...

    @marked("b", 2)
    @marked("a", 1)
    def other_way() -> None: ...

    assert marks(one_way) == marks(other_way) == {"a": 1, "b": 2}


def test_merge_is_called_with_the_nearer_mark_first() -> None:
    function = plain()
    mark(function, "tags", "nearer", merge=lambda nearer, farther: (nearer, farther))
    mark(function, "tags", "farther", merge=lambda nearer, farther: (nearer, farther))
    assert marks(function)["tags"] == ("nearer", "farther")


def test_merge_is_not_called_for_the_first_mark_of_its_kind() -> None:
    function = plain()

    def never(nearer: Any, farther: Any) -> Any:
        raise AssertionError((nearer, farther))

    mark(function, "other", 0)
    mark(function, "tags", "alone", merge=never)
    assert marks(function)["tags"] == "alone"


def test_without_merge_the_farther_decorator_replaces_the_nearer() -> None:
    @marked("a", "farther")
    @marked("a", "nearer")
    def function() -> None: ...

    assert marks(function) == {"a": "farther"}


def test_marks_cannot_be_changed_through_what_is_read() -> None:
    function = plain()
    mark(function, "a", 1)
    with pytest.raises(TypeError):
        marks(function)["a"] = 2  # type: ignore[index]


def test_marks_that_were_read_do_not_change_later() -> None:
    function = plain()
    mark(function, "a", 1)
    before = marks(function)
    mark(function, "b", 2)
    assert before == {"a": 1}


def test_a_class_does_not_show_the_marks_of_its_base() -> None:
    @marked("a", 1)
    class Base: ...

    class Derived(Base): ...

    assert (marks(Base), marks(Derived)) == ({"a": 1}, {})


def test_a_mark_on_a_derived_class_leaves_its_base_alone() -> None:
    @marked("a", 1)
    class Base: ...

    @marked("b", 2)
    class Derived(Base): ...

    assert (marks(Base), marks(Derived)) == ({"a": 1}, {"b": 2})


def test_a_mark_on_a_wrapper_keeps_those_of_the_wrapped_and_does_not_reach_it() -> None:
    function = plain()
    mark(function, "a", 1)

    @functools.wraps(function)
    def wrapper() -> None: ...

    mark(wrapper, "b", 2)
    assert (marks(function), marks(wrapper)) == ({"a": 1}, {"a": 1, "b": 2})


def test_a_late_mark_is_refused_and_not_lost_silently() -> None:
    function = plain()
    seal(function)
    with pytest.raises(RuntimeError, match=r"@Intent on .*plain.<locals>.function comes too late"):
        mark(function, "Intent", 1)
    assert marks(function) == {}


def test_sealing_one_function_leaves_the_others_open() -> None:
    sealed, other = plain(), plain()
    seal(sealed)
    mark(other, "a", 1)
    assert marks(other) == {"a": 1}


def test_sealing_a_base_class_leaves_derived_classes_open() -> None:
    class Base: ...

    class Derived(Base): ...

    seal(Base)
    mark(Derived, "a", 1)
    assert marks(Derived) == {"a": 1}


def test_sealing_keeps_the_marks_that_are_there() -> None:
    function = plain()
    mark(function, "a", 1)
    seal(function)
    assert marks(function) == {"a": 1}
