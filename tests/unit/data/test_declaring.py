"""Declaring: all forms of ``data_intent``, stacked and merged; the class stays what it was."""

from typing import Any

import pytest

from evox.data import Intent, data_intent
from evox.data.declaring import defined
from evox.data.homes import Homes
from evox.data.intents import intent_of
from evox.errors import InvalidDeclaration


def test_stacked_decorators_are_one_intent_and_the_class_is_untouched() -> None:
    class Bare:
        x: int

    before = {name for name in vars(Bare) if not name.startswith("__")}
    made = data_intent.strong_consistency()(data_intent.cacheable(ttl="5m", key="x")(Bare))
    assert made is Bare
    assert intent_of(Bare) == Intent(cacheable=True, ttl=300, consistency="strong", key="x")
    assert {name for name in vars(Bare) if not name.startswith("__")} == before


def test_a_subclass_has_the_intent_of_its_base_and_may_say_otherwise() -> None:
    @data_intent.cacheable(ttl="5m", key="id")
    class Base:
        def __init__(self, id: int) -> None:  # noqa: A002
            self.id = id

    @data_intent.eventual_ok()
    class Below(Base):
        pass

    policy = Homes("shop", {}).of(Below).policy
    assert (policy.ttl, policy.near, policy.evictable) == (300.0, True, True)
    assert Homes("shop", {}).of(Base).intent.consistency is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: data_intent.cacheable(int), "write it with parentheses"),
        (lambda: data_intent.cacheable()(lambda: None), "stands on a class"),  # type: ignore[type-var]
        (lambda: data_intent.cacheable(ttl="soon"), "soon"),
        (lambda: data_intent.cacheable(ttl=-1), "ttl"),
        (lambda: data_intent.cacheable(consistency="weak"), "strong"),  # type: ignore[arg-type]
        (lambda: data_intent.cacheable(eager=1.5), "share of the ttl"),
        (lambda: data_intent.cacheable(jitter=True), "share of the ttl"),
        (lambda: data_intent.cacheable(name="a:b"), "without : and /"),
        (lambda: data_intent.cacheable(backend="mongo://x"), "names no backend"),
        (lambda: data_intent.cacheable(tags=[1]), "list of names"),
        (lambda: data_intent.define(""), "without : and /"),
        (lambda: data_intent.define("a/b"), "without : and /"),
        (lambda: data_intent.define("cached", cacheable=False, ttl=5), "nothing to expire"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(wrong: Any, why: str) -> None:
    with pytest.raises(InvalidDeclaration, match=why):
        wrong()


def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="tll"):
        data_intent.cacheable(tll=5)


def test_a_password_in_a_backend_is_not_in_the_error() -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        data_intent.cacheable(backend="postgrsql://me:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_a_name_means_one_thing_in_the_whole_process() -> None:
    one = data_intent.define("declared_twice", ttl=5)
    assert data_intent.define("declared_twice", ttl=6) != one  # the same file, read again
    assert defined("declared_twice") is not None
    source = "from evox.data import data_intent\ndata_intent.define('declared_twice', ttl=7)"
    with pytest.raises(InvalidDeclaration, match="it is defined at"):
        exec(compile(source, "elsewhere.py", "exec"), {})
