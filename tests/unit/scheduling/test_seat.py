"""Seat: shared by whoever goes on with the chain's work, given back by the last of them, and only once."""

from collections.abc import Callable

import pytest

from evox.scheduling import Priority, Seat

HIGH, MEDIUM, LOW = Priority


class Desk:
    """What a seat needs of its scheduler: notes what it is asked."""

    def __init__(self, *, room: bool = True) -> None:
        self.freed: list[Seat] = []
        self.moved: list[Priority] = []
        self.room = room

    def free(self, seat: Seat) -> None:
        self.freed.append(seat)

    def move(self, seat: Seat, level: Priority) -> bool:
        self.moved.append(level)
        return self.room


def queued(level: Priority = LOW, *, room: bool = True) -> tuple[Seat, Desk]:
    desk = Desk(room=room)
    return Seat(desk, level, None), desk


def held(level: Priority = LOW) -> tuple[Seat, Desk]:
    seat, desk = queued(level)
    seat.grant()
    return seat, desk


def released() -> tuple[Seat, Desk]:
    seat, desk = held()
    seat.release()
    return seat, desk


def test_a_new_seat_is_not_live_and_counts_as_the_level_it_was_asked_in() -> None:
    seat, desk = queued(MEDIUM)
    assert (seat.live, seat.level, seat.line, seat.client, seat.on_granted) == (False, MEDIUM, MEDIUM, None, None)
    assert desk.freed == []


def test_a_seat_knows_whose_request_it_is() -> None:
    assert Seat(Desk(), LOW, "192.0.2.1").client == "192.0.2.1"


def test_P6_a_granted_seat_is_live_until_it_is_given_back() -> None:
    seat, desk = held()
    assert (seat.live, desk.freed) == (True, [])
    seat.release()
    assert (seat.live, desk.freed) == (False, [seat])


def test_P10_a_shared_seat_is_given_back_by_the_last_of_its_holders() -> None:
    seat, desk = held()
    seat.share()
    seat.share()
    states = []
    for _ in range(3):
        seat.release()
        states.append((seat.live, len(desk.freed)))
    assert states == [(True, 0), (True, 0), (False, 1)]


def test_P10_a_holder_who_stays_may_share_it_again() -> None:
    seat, desk = held()
    for _ in range(100):
        seat.share()
        seat.release()
    assert (seat.live, desk.freed) == (True, [])


def test_P6_it_is_not_live_any_more_when_its_scheduler_takes_it_back() -> None:
    states: list[bool] = []

    class Looking(Desk):
        def free(self, seat: Seat) -> None:
            states.append(seat.live)

    seat = Seat(Looking(), LOW, None)
    seat.grant()
    seat.release()
    assert states == [False]


@pytest.mark.parametrize("made", [queued, released], ids=["never granted", "given back"])
def test_P6_releasing_a_seat_that_nobody_holds_raises_and_frees_nothing(made: Callable[[], tuple[Seat, Desk]]) -> None:
    seat, desk = made()
    before = len(desk.freed)
    with pytest.raises(RuntimeError, match="given back before, or never granted"):
        seat.release()
    assert (seat.live, len(desk.freed)) == (False, before)


@pytest.mark.parametrize("made", [queued, released], ids=["never granted", "given back"])
def test_P10_a_seat_that_nobody_holds_cannot_be_shared(made: Callable[[], tuple[Seat, Desk]]) -> None:
    seat, _ = made()
    with pytest.raises(RuntimeError, match="only one that is held can be shared"):
        seat.share()
    assert not seat.live


def test_P6_releasing_once_too_often_is_refused_each_time_and_the_place_is_freed_once() -> None:
    seat, desk = held()
    seat.share()
    seat.release()
    seat.release()
    for _ in range(3):
        with pytest.raises(RuntimeError):
            seat.release()
    assert desk.freed == [seat]


@pytest.mark.parametrize("level", [HIGH, MEDIUM])
def test_P11_a_held_seat_counts_as_the_higher_level_and_stays_in_its_line(level: Priority) -> None:
    seat, desk = held(LOW)
    assert seat.boost(level) is True
    assert (seat.level, seat.line, desk.moved) == (level, LOW, [])


def test_P11_a_queued_seat_is_moved_by_its_scheduler() -> None:
    seat, desk = queued(LOW)
    assert seat.boost(HIGH) is True
    assert desk.moved == [HIGH]


def test_P11_a_queued_seat_that_the_other_queue_has_no_room_for_stays_what_it_was() -> None:
    seat, desk = queued(LOW, room=False)
    assert seat.boost(HIGH) is False
    assert (seat.level, seat.line, desk.moved) == (LOW, LOW, [HIGH])


@pytest.mark.parametrize("made", [queued, held], ids=["queued", "held"])
@pytest.mark.parametrize(("level", "wanted"), [(HIGH, HIGH), (HIGH, LOW), (MEDIUM, MEDIUM), (MEDIUM, LOW), (LOW, LOW)])
def test_P11_nothing_is_boosted_to_its_own_level_or_a_lower_one(
    made: Callable[[Priority], tuple[Seat, Desk]], level: Priority, wanted: Priority
) -> None:
    seat, desk = made(level)
    assert seat.boost(wanted) is False
    assert (seat.level, seat.line, desk.moved) == (level, level, [])


def test_P11_a_held_seat_is_boosted_step_by_step_and_never_back() -> None:
    seat, _ = held(LOW)
    assert [seat.boost(level) for level in (MEDIUM, MEDIUM, HIGH, MEDIUM, LOW)] == [True, False, True, False, False]
    assert seat.level is HIGH


def test_P6_a_boosted_seat_is_given_back_once_as_any_other() -> None:
    seat, desk = held(LOW)
    seat.boost(HIGH)
    seat.release()
    assert (seat.live, seat.line, desk.freed) == (False, LOW, [seat])


def test_it_shows_its_level_and_who_is_on_it() -> None:
    seat, _ = queued(MEDIUM)
    before = repr(seat)
    seat.grant()
    seat.share()
    assert (before, repr(seat)) == ("<Seat medium, nobody on it>", "<Seat medium, 2 on it>")
