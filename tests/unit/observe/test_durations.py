"""How long calls took: counted by endpoint and status, within bounds, and read as shares."""

import pytest

from evox.observe.durations import BUCKETS, MOST, OTHERS, Cell, Durations, Key, quantile


def cell(*seconds: float) -> Cell:
    made = Cell()
    for one in seconds:
        made.add(one)
    return made


def test_a_call_is_counted_in_the_first_bucket_that_holds_it() -> None:
    made = cell(0.005, 0.0051, 11.0)
    assert made.counts[0] == 1  # a bound belongs to its bucket
    assert made.counts[1] == 1
    assert made.counts[-1] == 1
    assert (made.count, made.longest) == (3, 11.0)
    assert made.seconds == pytest.approx(11.0101)
    assert repr(made) == "<Cell of 3 calls>"


def test_cells_are_merged_without_changing_the_other() -> None:
    one, other = cell(0.001, 2.0), cell(3.0)
    one.merge(other)
    assert (one.count, one.longest, other.count) == (3, 3.0, 1)


def test_calls_are_kept_apart_by_service_endpoint_origin_and_status() -> None:
    made = Durations()
    for status in (200, 200, 503):
        made.add("users", "get_user", "http", status, 0.01)
    made.add("orders", "get_user", "http", 200, 0.01)
    assert [key.status for key, _ in made.of_service("users")] == [200, 503]
    assert next((key, one.count) for key, one in made) == (Key("orders", "get_user", "http", 200), 1)


def test_endpoints_without_end_fill_no_more_than_so_many_cells() -> None:
    made = Durations()
    for number in range(MOST + 500):
        made.add("users", f"endpoint {number}", "http", 200, 0.01)
    found = list(made)
    assert len(found) == MOST + 1
    assert next(one.count for key, one in found if key.endpoint == OTHERS) == 500
    assert sum(one.count for _, one in found) == MOST + 500


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 0.99, 1.0])
def test_a_share_is_never_more_than_the_longest(share: float) -> None:
    made = cell(*(0.001 * number for number in range(1, 200)))
    assert 0.0 <= quantile(made, share) <= made.longest
    assert quantile(made, share) == pytest.approx(0.2 * share, abs=0.05)


def test_shares_of_nothing_and_of_what_is_beyond_all_buckets() -> None:
    assert quantile(Cell(), 0.5) == 0.0
    assert BUCKETS[-1] <= quantile(cell(60.0, 60.0), 0.5) <= 60.0
