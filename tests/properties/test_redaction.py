"""Secrets of every kind, planted at any depth and logged in any way, are in no line that is written."""

import io
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any
from unittest import mock

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evox.errors import EvoxError, masking
from evox.errors.secrets import masked, redacted, remember
from evox.failures import describe, facts_of
from evox.orchestrator.logs import configure_logs

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CORE = st.text(LETTERS, min_size=12, max_size=30).map(lambda text: f"Zq{text}")  # found again by itself
NAMES = [
    "pass",
    "password",
    "db_password",
    "apiKey",
    "API_KEY",
    "access-token",
    "client_secret",
    "credentials",
    "Set-Cookie",
]
Plant = tuple[str, Any]


@st.composite
def by_shape(draw: st.DrawFn) -> Plant:
    """Return a secret, and a text that has it in a form in which secrets are known."""
    core = draw(CORE)
    forms = [
        f"eyJhbGciOiJIUzI1NiJ9.{core}.c2lnbmF0dXJl",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{core}",
        f"Bearer {core}",
        f"bearer  {core}.x",
        f"Basic {core}==",
        f"-----BEGIN PRIVATE KEY-----\n{core}\n-----END PRIVATE KEY-----",
        f"postgresql://me:{core}@host/db",
        f"https://host/x?access_token={core}&n=1",
    ]
    around = st.sampled_from(["", " ", "(", '"', ", ", "\n", "a "])
    return core, f"{draw(around)}{draw(st.sampled_from(forms))}{draw(st.sampled_from(['', ' ', ')', ', x', chr(10)]))}"


@st.composite
def by_name(draw: st.DrawFn) -> Plant:
    """Return a secret, and something that holds it under a name of one."""
    core, name = draw(CORE), draw(st.sampled_from(NAMES))
    spaced = f"{core} and, more; {core}"
    values: list[Any] = [
        core,
        spaced,
        [core, {"a": core}],
        {"a": (core,)},
        f'it is "{core}"',
        f"it's {core}",
        core.encode(),
    ]
    return core, {name: draw(st.sampled_from(values))}


@st.composite
def by_type(draw: st.DrawFn) -> Plant:
    """Return a secret, and an object that holds it in a field named like one."""
    core, name = draw(CORE), draw(st.sampled_from(["password", "api_key", "client_secret"]))
    kind = make_dataclass("Kind", [("user", str), (name, str)])
    return core, draw(st.sampled_from([kind("ada", core), [kind("ada", f"{core}, {core}")]]))


@st.composite
def by_value(draw: st.DrawFn) -> Plant:
    """Return a secret that was remembered, and a text that has it anywhere."""
    core = draw(CORE) + draw(st.sampled_from(["", ' "x"', " 'y' ü", "\\z"]))
    remember(core)
    return core[:14], f"{draw(st.text(max_size=5))}{core}{draw(st.text(max_size=5))}"


PLANTS = st.one_of(by_shape(), by_name(), by_type(), by_value())


def nested(value: Any) -> st.SearchStrategy[Any]:
    """Return the value somewhere within others."""
    plain = st.one_of(st.none(), st.integers(), st.text(max_size=8), st.binary(max_size=4))
    return st.recursive(
        st.just(value),
        lambda inner: st.one_of(
            st.tuples(plain, inner).map(list),
            st.tuples(inner, plain),
            st.dictionaries(st.sampled_from(["a", "b", "user"]), inner, min_size=1, max_size=2),
            inner.map(lambda one: {"x": one, "token_type": "y"}),
        ),
        max_leaves=4,
    )


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test lets remember be gone after it."""
    monkeypatch.setattr(masking, "_KNOWN", masking._Known())


quickly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@quickly
@given(plant=PLANTS, data=st.data())
def test_a_planted_secret_survives_in_no_nesting(plant: Plant, data: st.DataObject) -> None:
    secret, value = plant
    whole = data.draw(nested(value))
    for shown in (json.dumps(redacted(whole)), masked(f"{whole}"), masked(f"got {whole!r}: no")):
        assert secret not in shown


@quickly
@given(plant=PLANTS, data=st.data())
def test_no_error_shows_a_planted_secret(plant: Plant, data: st.DataObject) -> None:
    secret, value = plant
    text = f"{data.draw(nested(value))}"
    for error in (EvoxError(text, why=text, fix=text), ValueError(text), ExceptionGroup(text, [ValueError(text)])):
        shown = f"{describe(error, trace=True)} {json.dumps(facts_of(error))}"
        assert secret not in shown


def raising(value: Any) -> None:
    error = RuntimeError(f"it is {value}")
    error.add_note(f"note {value}")
    raise error from ValueError(f"{value}")


def failing(log: Any, value: Any, *, way: str) -> None:
    """Log an error that says a value, with its cause and notes."""
    try:
        raising(value)
    except RuntimeError as error:
        if way == "exception":
            log.exception("it")
        else:
            log.log(logging.ERROR, "it %s", error, exc_info=error)


STD = logging.getLogger("mine")
WAYS: dict[str, Callable[[Any], None]] = {
    "an argument": lambda value: STD.error("it is %s", value),
    "two of them": lambda value: STD.error("it is %s %r", 1, value),
    "a mapping of arguments": lambda value: STD.error("%(a)s %(b)s", {"a": value, "b": 1}),
    "an f-string": lambda value: STD.error(f"it is {value}"),
    "a repr": lambda value: STD.error(f"it is {value!r}"),
    "the message": STD.error,
    "arguments that do not fit": lambda value: STD.error("it is %d", value),
    "too many arguments": lambda value: STD.error(*("it is", value)),
    "extra": lambda value: STD.error("it is", extra={"a": value}),
    "an error": lambda value: failing(STD, value, way="exception"),
    "an error as argument": lambda value: failing(STD, value, way="argument"),
    "structlog": lambda value: structlog.get_logger().error(value),
    "an argument of structlog": lambda value: structlog.get_logger().error("it is %s", value),
    "a field": lambda value: structlog.get_logger().error("it is", a=value),
    "what is bound": lambda value: structlog.get_logger().bind(a=value).error("it is"),
    "an error by structlog": lambda value: failing(structlog.get_logger(), value, way="exception"),
    "one as argument there": lambda value: failing(structlog.get_logger(), value, way="argument"),
}


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize("way", WAYS)
@settings(quickly, max_examples=25)
@given(plant=PLANTS, data=st.data())
def test_no_line_shows_a_planted_secret(way: str, as_json: bool, plant: Plant, data: st.DataObject) -> None:
    secret, value = plant
    whole, out = data.draw(nested(value)), io.StringIO()
    root, raises = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    try:
        with mock.patch.object(sys, "stderr", out):
            configure_logs(as_json=as_json, verbose=False, environ={})
            WAYS[way](whole)
    finally:
        root.handlers, root.level, logging.raiseExceptions = handlers, level, raises
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    assert out.getvalue()
    assert secret not in out.getvalue()
