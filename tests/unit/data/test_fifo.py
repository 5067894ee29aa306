"""Fifo: bounded by number and size, and what is read often outlives what is read once."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evox.data.fifo import SHARD, Fifo


def length(key: str, value: str) -> int:
    return len(key) + len(value)


def test_what_is_read_again_outlives_a_scan() -> None:
    fifo = Fifo[str, str](10, 1000, length)
    for number in range(5):
        fifo.put(f"hot{number}", "1")
    for _ in range(2):
        for number in range(5):
            fifo.get(f"hot{number}")
    for number in range(100):
        fifo.put(f"scan{number}", "1")
    assert [f"hot{number}" in fifo for number in range(5)] == [True] * 5
    assert len(fifo) == 10


def test_what_comes_back_soon_after_it_was_dropped_is_kept_longer() -> None:
    fifo = Fifo[str, str](10, 1000, length)
    fifo.put("back", "1")
    for number in range(10):
        fifo.put(f"a{number}", "1")
    assert "back" not in fifo
    fifo.put("back", "2")
    for number in range(20):
        fifo.put(f"b{number}", "1")
    assert fifo.peek("back") == "2"


def test_what_is_larger_than_all_is_not_kept_and_drops_nothing() -> None:
    fifo = Fifo[str, str](10, 10, length)
    fifo.put("a", "1")
    assert fifo.put("big", "x" * 20) == [("big", "x" * 20)]
    assert fifo.peek("a") == "1"


def test_a_large_one_is_spread_and_stays_within_its_bounds() -> None:
    fifo = Fifo[str, str](4 * SHARD, 10**9, length)
    for number in range(5 * SHARD):
        fifo.put(f"{number}", "1")
    assert len(fifo) == 4 * SHARD
    assert len(set(fifo)) == 4 * SHARD
    assert fifo.evicted == SHARD
    fifo.clear()
    assert (len(fifo), fifo.size, list(fifo)) == (0, 0, [])


class Bounded(RuleBasedStateMachine):
    """Whatever happens, it holds what it says, within its bounds, and accounts for what it dropped."""

    @initialize(entries=st.integers(0, 8), size=st.integers(0, 60))
    def begin(self, entries: int, size: int) -> None:
        self.fifo = Fifo[str, str](entries, size, length)
        self.held: dict[str, str] = {}

    def gone(self, dropped: list[tuple[str, str]]) -> None:
        for key, value in dropped:
            assert self.held.pop(key) == value

    @rule(key=st.sampled_from("abcdefghijkl"), value=st.text("x", max_size=12))
    def put(self, key: str, value: str) -> None:
        self.held[key] = value
        self.gone(self.fifo.put(key, value))

    @rule(key=st.sampled_from("abcdefghijkl"))
    def get(self, key: str) -> None:
        assert self.fifo.get(key) == self.held.get(key)

    @rule(key=st.sampled_from("abcdefghijkl"))
    def pop(self, key: str) -> None:
        assert self.fifo.pop(key) == self.held.pop(key, None)

    @rule(entries=st.integers(0, 8), size=st.integers(0, 60))
    def resize(self, entries: int, size: int) -> None:
        self.gone(self.fifo.resize(entries, size))

    @invariant()
    def the_books_are_balanced(self) -> None:
        if not hasattr(self, "fifo"):
            return
        assert sorted(self.fifo) == sorted(self.held)
        assert {key: self.fifo.peek(key) for key in self.held} == self.held
        assert self.fifo.size == sum(length(*one) for one in self.held.items()) <= self.fifo.limit
        assert len(self.fifo) == len(self.held) <= self.fifo.entries


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
