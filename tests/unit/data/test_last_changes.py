"""Last changes: no change of a name goes unseen, however many there were; memory does not grow with them."""

from hypothesis import given
from hypothesis import strategies as st

from evox.data.last_changes import PLACES, LastChanges


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_what_is_said_of_a_name_is_never_before_its_last_change(changes: list[tuple[str, bool]]) -> None:
    known, true = LastChanges(3), dict.fromkeys("abcdefgh", 0)
    for version, (name, roughly) in enumerate(changes, 1):
        (known.note_roughly if roughly else known.note)(name, version)
        true[name] = version
        assert all(known.of(one) >= true[one] for one in true)


def test_the_latest_are_known_exactly() -> None:
    known = LastChanges(2)
    known.note("a", 5)
    known.note("b", 6)
    assert (known.of("a"), known.of("b"), known.of("c")) == (5, 6, 0)
    known.note("c", 7)
    assert known.of("a") >= 5  # no longer by itself
    known.clear("b")
    assert known.of("b") < 6


def test_what_is_remembered_does_not_grow() -> None:
    known = LastChanges(100)
    for version in range(1, 10_000):
        known.note(f"key {version}", version)
    assert (len(known._latest), len(known._places)) == (100, PLACES)
