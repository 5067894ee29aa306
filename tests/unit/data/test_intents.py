"""Intents: frozen values that decorators put on functions and classes, and that merge field by field."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from evox.data import Intent, intent_of
from evox.errors import InvalidDeclaration
from evox.marks import seal


def test_two_intents_that_say_the_same_are_equal_and_hash_alike() -> None:
    one, other = Intent(ttl="10m", tags=["a"]), Intent(ttl=timedelta(minutes=10), cacheable=True, tags=("a",))
    assert one == other
    assert hash(one) == hash(other)


def test_an_intent_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Intent().ttl = 5  # type: ignore[misc]


def test_an_intent_that_says_nothing_leaves_everything_open() -> None:
    intent = Intent()
    assert (intent.cacheable, intent.ttl, intent.consistency, intent.fallback, intent.max_stale) == (None,) * 5
    assert (intent.tags, intent.vary_on) == ((), ())


@pytest.mark.parametrize("ttl", [600, 600.0, "10m", timedelta(minutes=10)])
def test_a_ttl_is_kept_in_seconds_and_implies_cacheable(ttl: Any) -> None:
    intent = Intent(ttl=ttl)
    assert (intent.ttl, intent.cacheable) == (600.0, True)


def test_cacheable_without_a_ttl_leaves_the_ttl_open() -> None:
    assert Intent(cacheable=True).ttl is None


@pytest.mark.parametrize("option", ["tags", "vary_on"])
def test_one_name_alone_is_a_list_of_one(option: str) -> None:
    assert getattr(Intent(**{option: "user"}), option) == ("user",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cacheable", "yes"),
        ("cacheable", 1),
        ("ttl", "soon"),
        ("ttl", -1),
        ("ttl", True),
        ("consistency", "weak"),
        ("consistency", ""),
        ("fallback", "lazy"),
        ("fallback", True),
        ("max_stale", "for ever"),
        ("max_stale", float("inf")),
        ("tags", [""]),
        ("tags", [1]),
        ("tags", 5),
        ("vary_on", [None]),
        ("vary_on", True),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_option_named(option: str, value: Any) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        Intent(**{option: value})
    assert caught.value.what == f"{option}={value!r} on @Intent does not fit"


def test_a_ttl_contradicts_cacheable_false() -> None:
    with pytest.raises(InvalidDeclaration, match="cacheable=False leaves nothing to expire"):
        Intent(cacheable=False, ttl=5)


def test_merging_puts_what_the_other_says_on_top_field_by_field() -> None:
    farther = Intent(ttl=600, consistency="eventual", tags=["a"])
    nearer = Intent(ttl=5, vary_on=["x"])
    assert farther.merged(nearer) == Intent(ttl=5, consistency="eventual", tags=["a"], vary_on=["x"])


def test_merging_leaves_both_as_they_were() -> None:
    farther, nearer = Intent(ttl=600), Intent(ttl=5)
    farther.merged(nearer)
    assert (farther.ttl, nearer.ttl) == (600.0, 5.0)


@pytest.mark.parametrize("nothing", [None, Intent()])
def test_merging_with_nothing_changes_nothing(nothing: Intent | None) -> None:
    intent = Intent(ttl=5, consistency="strong")
    assert intent.merged(nothing) == intent


def test_a_nearer_cacheable_false_takes_the_ttl_away() -> None:
    merged = Intent(ttl=600, tags=["a"]).merged(Intent(cacheable=False))
    assert (merged.cacheable, merged.ttl, merged.tags) == (False, None, ("a",))


def test_a_nearer_ttl_makes_cacheable_again() -> None:
    merged = Intent(cacheable=False).merged(Intent(ttl=5))
    assert (merged.cacheable, merged.ttl) == (True, 5.0)


def test_the_decorator_returns_what_it_decorates() -> None:
    def function() -> None: ...

    class Model: ...

    assert Intent(ttl=5)(function) is function
    assert Intent(ttl=5)(Model) is Model


def test_what_is_declared_on_a_function_or_class_is_found_there() -> None:
    @Intent(ttl=5)
    class Model: ...

    def bare() -> None: ...

    assert (intent_of(Model), intent_of(bare)) == (Intent(ttl=5), None)


def test_of_two_stacked_intents_the_nearer_wins_where_both_speak() -> None:
    @Intent(ttl=600, consistency="eventual")
    @Intent(ttl=5)
    def function() -> None: ...

    assert intent_of(function) == Intent(ttl=5, consistency="eventual")


def test_a_derived_class_does_not_take_over_the_intent_of_its_base() -> None:
    @Intent(ttl=5)
    class Base: ...

    class Derived(Base): ...

    assert intent_of(Derived) is None


def test_an_intent_that_comes_too_late_is_refused() -> None:
    def function() -> None: ...

    seal(function)
    with pytest.raises(RuntimeError, match="comes too late"):
        Intent(ttl=5)(function)
