"""X4, X5: what is counted over the last 30 seconds, and what is forgotten when."""

from hypothesis import given
from hypothesis import strategies as st

from evox.service_proxy.windows import SPAN, Window


def test_both_kinds_are_counted() -> None:
    window = Window()
    window.add(0.0)
    window.add(0.5, some=1)
    window.add(1.0, every=3, some=2)
    assert (window.all, window.some) == (5, 3)
    assert repr(window) == "<Window 3 of 5>"


def test_a_second_is_forgotten_when_the_thirtieth_after_it_begins_and_no_sooner() -> None:
    window = Window()
    window.add(7.0)
    window.add(7.999, some=1)
    window.forget(36.999)
    assert (window.all, window.some) == (2, 1)
    window.forget(37.0)
    assert (window.all, window.some) == (0, 0)


def test_adding_forgets_what_is_old() -> None:
    window = Window()
    for second in range(100):
        window.add(float(second), some=second % 2)
        assert window.all == min(second + 1, SPAN)
    assert window.some == SPAN // 2


def test_it_keeps_no_more_than_one_bucket_a_second() -> None:
    window = Window()
    for step in range(10_000):
        window.add(step / 100)
    assert len(window._buckets) == SPAN
    assert window.all == SPAN * 100


def test_a_clear_window_has_nothing_and_counts_again() -> None:
    window = Window()
    window.add(1.0, some=1)
    window.clear()
    assert (window.all, window.some) == (0, 0)
    window.add(1.1)
    assert (window.all, window.some) == (1, 0)


def test_an_hour_of_nothing_forgets_all_at_once() -> None:
    window = Window()
    for second in range(30):
        window.add(float(second))
    window.forget(3600.0)
    assert (window.all, window._buckets) == (0, [])


def test_what_is_told_late_is_forgotten_too() -> None:
    """A call that had begun long ago was counted in a second that was over, and so for ever."""
    window = Window()
    window.add(5.0)
    window.forget(40.0)
    window.add(5.5)
    assert window.all == 1
    window.add(41.0)
    assert window.all == 1
    window.add(20.0)  # in the present, for want of a second that is over
    assert (window.all, len(window._buckets)) == (2, 1)
    window.forget(71.0)
    assert (window.all, window._buckets) == (0, [])


@given(st.lists(st.floats(0, 200), max_size=60))
def test_nothing_is_counted_for_ever_in_whatever_order_it_is_told(times: list[float]) -> None:
    window = Window()
    for when in times:
        window.add(when)
        window.forget(when)
        assert window.all == sum(bucket[1] for bucket in window._buckets)
    window.forget(1000.0)
    assert window.all == 0


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_it_counts_what_a_list_of_all_that_happened_says(steps: list[tuple[float, int, int]]) -> None:
    window, now = Window(), 0.0
    happened: list[tuple[float, int, int]] = []
    for later, every, some in steps:
        now += later
        window.add(now, every=every, some=some)
        happened.append((now, every, some))
        recent = [one for one in happened if int(one[0]) > int(now) - SPAN]
        assert window.all == sum(one[1] for one in recent)
        assert window.some == sum(one[2] for one in recent)
