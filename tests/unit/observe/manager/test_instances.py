"""Instances: who is known, who is up, and who has taken whose place. Time is what the test says."""

from tests.unit.observe.manager.snapshots import call, snap

from evox.observe.asking import Source
from evox.observe.manager.instances import FORGOTTEN, GONE, LATE, MOST, TURN, Instances


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def source(name: str = "a") -> Source:
    return Source(name, url="http://127.0.0.1:1")


def states(known: Instances, clock: Clock) -> dict[str, str]:
    return {one.id: one.seen(clock.now) for one in known}


async def test_who_was_not_asked_yet_is_new_and_neither_up_nor_failing() -> None:
    clock = Clock()
    known = Instances(clock)
    known.notice(source("a"))
    assert states(known, clock) == {"a": "new"}


async def test_who_never_answered_is_unseen_with_a_reason() -> None:
    clock = Clock()
    known = Instances(clock)
    known.silent(source(), "it cannot be reached")
    assert [(one.seen(clock.now), one.trouble, one.failed) for one in known] == [("unseen", "it cannot be reached", 1)]


async def test_one_answer_that_is_late_is_no_reason_to_worry_and_several_are() -> None:
    clock = Clock()
    known, one = Instances(clock), source()
    known.answered(one, snap())
    clock.now += LATE - 0.1
    known.silent(one, "it gave no answer")
    assert states(known, clock) == {"one": "up"}
    clock.now += 0.2
    assert states(known, clock) == {"one": "unseen"}
    known.answered(one, snap(uptime=20))
    assert states(known, clock) == {"one": "up"}


async def test_a_process_started_anew_at_the_same_address_is_another_one() -> None:
    clock = Clock()
    known, one = Instances(clock), source()
    known.answered(one, snap("first", 50, calls=[call(900)]))
    assert known.answered(one, snap("second", 0, calls=[call(1)])) is None
    assert states(known, clock) == {"first": "gone", "second": "up"}
    sample = known.answered(one, snap("second", 1, calls=[call(3)]))
    assert sample is not None
    assert sample.rate == 2


async def test_workers_behind_one_address_are_all_up_while_they_answer_in_turn() -> None:
    """Each answer of one worker showed all others as gone."""
    clock = Clock()
    known, one = Instances(clock), source()
    for turn in range(6):
        clock.now += 1
        sample = known.answered(one, snap(f"worker {turn % 3}", turn, workers=3, calls=[call(turn * 10)]))
        assert (sample is None) == (turn < 3)
        assert sample is None or sample.rate == 10
    assert set(states(known, clock).values()) == {"up"}
    clock.now += TURN + 1
    known.answered(one, snap("worker 0", 99, workers=3))
    assert states(known, clock) == {"worker 0": "up", "worker 1": "gone", "worker 2": "gone"}


async def test_who_has_left_is_gone_and_forgotten_after_a_while() -> None:
    clock = Clock()
    known, one = Instances(clock), source()
    known.answered(one, snap())
    known.left(one)
    assert states(known, clock) == {"one": "gone"}
    clock.now += FORGOTTEN - 1
    known.notice(source("b"))
    assert "one" in states(known, clock)
    clock.now += 2
    known.notice(source("c"))
    assert "one" not in states(known, clock)


async def test_who_leaves_and_comes_back_is_known_anew() -> None:
    clock = Clock()
    known, before, after = Instances(clock), source(), source()
    known.answered(before, snap("one"))
    known.left(before)
    known.answered(after, snap("two"))
    assert states(known, clock) == {"one": "gone", "two": "up"}


async def test_a_process_that_gives_itself_another_name_each_time_fills_no_memory() -> None:
    clock = Clock()
    known, one = Instances(clock), source()
    honest = source("honest")
    known.answered(honest, snap("honest"))
    for number in range(3 * MOST):
        known.answered(one, snap(f"name {number}", number, workers=2 if number % 2 else 1))
        clock.now += 1
    assert len(known) <= GONE + TURN + 3
    assert "honest" in states(known, clock)


async def test_no_more_processes_are_known_than_may_be() -> None:
    known = Instances(Clock())
    kept = [source(str(number)) for number in range(MOST + 20)]
    for one in kept:
        known.notice(one)
    assert len(known) == MOST
    assert repr(known) == f"<Instances: {MOST}>"
