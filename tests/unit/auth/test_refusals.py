"""Refusals: the last ones are remembered, and a crowd of them writes no crowd of lines."""

import logging

import pytest

from evox.auth.refusals import EVERY, LINES, RECENT, Refusals
from evox.errors import NotAuthenticated, WrongSignature


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_the_last_are_remembered_with_their_reason() -> None:
    refusals = Refusals(Clock())
    for number in range(RECENT + 5):
        refusals.add(WrongSignature(), service="shop", target=f"endpoint {number}")
    assert refusals.count == RECENT + 5
    assert len(refusals.recent) == RECENT
    last = refusals.recent[-1]
    assert (last.status, last.target) == (401, f"endpoint {RECENT + 4}")
    assert last.reason.startswith("WrongSignature: ")


def test_a_crowd_is_counted_and_not_written_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(1000):
        refusals.add(WrongSignature(), service="shop", target="endpoint 'me'")
    assert len(caplog.records) == LINES
    clock.now += EVERY
    refusals.add(WrongSignature(), service="shop", target="endpoint 'me'")
    assert caplog.messages[LINES] == f"{1000 - LINES} more callers were refused"
    assert len(caplog.records) == LINES + 2


def test_a_clock_that_is_set_back_silences_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.add(WrongSignature(), service="shop", target="endpoint 'me'")
    clock.now -= 86_400
    refusals.add(WrongSignature(), service="shop", target="endpoint 'me'")
    assert len(caplog.records) == 2


def test_who_brings_no_token_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Refusals(Clock()).add(NotAuthenticated("endpoint 'me'"), service="shop", target="endpoint 'me'")
    assert [record.levelname for record in caplog.records] == ["INFO"]
