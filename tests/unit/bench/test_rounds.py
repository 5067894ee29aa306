"""Rounds: what is measured is kept from the collector, and all else is afterwards as it was."""

import gc

import pytest

from evox.bench.rounds import frozen


@pytest.mark.parametrize(("before", "let_in"), [(0, 1), (7, 0)])
def test_what_was_frozen_before_stays_so(before: int, let_in: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: before)
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: done.append("unfreeze"))
    with pytest.raises(ValueError, match="in between"), frozen():
        raise ValueError("in between")
    assert done == ["freeze"] + ["unfreeze"] * let_in
