"""What is wrong, since when, why, and that it is over: within bounds, without secrets, whatever clocks do."""

import pytest

from evox.observe.incidents import KEPT, LONGEST, MOST, Incident, Incidents, shortened


class Clocks:
    """A wall clock and a monotonic one, which may be moved apart."""

    def __init__(self) -> None:
        self.wall, self.now = 1_000_000.0, 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.now += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def incidents(clocks: Clocks) -> Incidents:
    return Incidents(lambda: clocks.wall, lambda: clocks.now)


def only(incidents: Incidents) -> Incident:
    (one,) = incidents.all()
    return one


def test_what_is_said_again_is_one_incident_with_a_count_and_the_last_reason(
    incidents: Incidents, clocks: Clocks
) -> None:
    incidents.note("users", "task", "tidy", "the disk is full")
    clocks.pass_(3)
    incidents.note("users", "task", "tidy", "the disk is gone", "fail")
    one = only(incidents)
    assert (one.since, one.last, one.count, one.until) == (1_000_000.0, 1_000_003.0, 2, None)
    assert (one.reason, one.severity) == ("the disk is gone", "fail")
    assert ("users", "task", "tidy") in incidents
    assert repr(incidents) == "<Incidents: 1 open of 1>"


def test_it_is_over_when_that_is_said_and_told_for_an_hour(incidents: Incidents, clocks: Clocks) -> None:
    incidents.note("users", "source", "rates", "it does not answer")
    clocks.pass_(60)
    incidents.clear("users", "source", "rates")
    assert only(incidents).until == 1_000_060.0
    assert not incidents.any_open
    clocks.pass_(KEPT - 1)
    assert only(incidents).until == 1_000_060.0
    clocks.pass_(2)
    assert incidents.all() == []


def test_what_settles_is_over_when_it_was_not_seen_for_a_while(incidents: Incidents, clocks: Clocks) -> None:
    incidents.note("users", "queue", "low", "it is full", settles=5.0)
    clocks.pass_(5)
    assert only(incidents).until is None
    clocks.pass_(1)
    assert only(incidents).until == 1_000_005.0
    incidents.note("users", "queue", "low", "it is full", settles=5.0)
    assert (only(incidents).since, only(incidents).count) == (1_000_006.0, 1)  # another one


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_jumps_neither_ends_nor_prolongs_anything(
    incidents: Incidents, clocks: Clocks, jump: float
) -> None:
    incidents.note("users", "queue", "low", "it is full", settles=5.0)
    clocks.wall += jump
    assert only(incidents).until is None
    clocks.pass_(6)
    assert only(incidents).until is not None


def test_what_goes_on_stands_first_and_the_latest_before_others(incidents: Incidents, clocks: Clocks) -> None:
    for name in ("a", "b", "c"):
        incidents.note("users", "task", name, "broken")
        clocks.pass_(1)
    incidents.clear("users", "task", "c")
    assert [one.subject for one in incidents.all()] == ["b", "a", "c"]


def test_no_more_are_kept_than_so_many_and_those_that_are_over_go_first(incidents: Incidents) -> None:
    incidents.note("users", "task", "long ago", "broken")
    incidents.note("users", "task", "over", "broken")
    incidents.clear("users", "task", "over")
    for number in range(MOST - 1):
        incidents.note("users", "endpoint", f"{number}", "broken")
    subjects = {one.subject for one in incidents.all()}
    assert len(subjects) == MOST
    assert "long ago" in subjects
    assert "over" not in subjects
    for number in range(10 * MOST):
        incidents.note("users", "endpoint", f"more {number}", "broken")
    assert len(incidents.all()) == MOST


def test_reasons_are_cut_and_have_no_secrets(incidents: Incidents) -> None:
    incidents.note("users", "source", "rates", "postgresql://shop:hunter2@db/shop " + "x" * 10_000)
    reason = only(incidents).reason
    assert len(reason) == LONGEST
    assert "hunter2" not in reason
    assert shortened("short") == "short"


def test_nobody_who_looks_can_change_what_is_kept(incidents: Incidents) -> None:
    incidents.note("users", "task", "tidy", "broken")
    only(incidents).reason = "never"
    assert only(incidents).reason == "broken"


def test_to_clear_what_never_was_changes_nothing(incidents: Incidents) -> None:
    incidents.clear("users", "task", "tidy")
    assert incidents.all() == []


def test_what_would_be_noted_again_makes_room_for_what_would_not(incidents: Incidents, clocks: Clocks) -> None:
    incidents.note("users", "check", "database", "it does not answer", "fail")
    for number in range(2 * MOST):
        incidents.note("users", "endpoint", f"GET /{number}", "it fails", settles=10)
    assert len(incidents.all()) == MOST
    assert ("users", "check", "database") in incidents
    clocks.pass_(11)  # all but the check are over
    incidents.note("users", "task", "tidy", "it fails")
    assert [one.kind for one in incidents.all() if one.until is None] == ["task", "check"]


def test_no_secret_is_cut_in_two() -> None:
    url = f"postgresql://shop:{'p' * 200}@db/shop"
    assert "ppp" not in shortened(f"none of {' '.join([url] * 100)} answers")


def test_subjects_are_cut_and_have_no_secrets(incidents: Incidents) -> None:
    incidents.note("users", "endpoint", "GET /" + "path " * 20_000, "it fails")
    incidents.note("users", "endpoint", "GET /?token=s3cr3tvalue", "it fails")
    assert [one.subject[:13] for one in incidents.all()] == ["GET /?token=*", "GET /path pat"]
    assert all(len(one.subject) <= LONGEST for one in incidents.all())


def test_of_a_reason_without_end_no_more_is_held_than_is_shown(incidents: Incidents) -> None:
    incidents.note("users", "endpoint", "get_user", "why " * 250_000)
    (kept,) = incidents._known.values()
    assert len(kept.said) < 10 * LONGEST


def test_half_a_character_is_replaced() -> None:
    assert shortened("caf\udce9.txt") == "caf?.txt"
    assert shortened("café") == "café"
