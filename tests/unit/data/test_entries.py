"""Entries: the envelope is opened as it was sealed, and any damage is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evox.data.entries import DATA, EVICTABLE, FORMAT, KEEP_UNTIL, TAGS, VERSION, Entry, open_envelope, seal_envelope

TIMES = st.floats(min_value=0, allow_nan=False)
ENTRIES = st.builds(Entry, st.binary(), st.sampled_from("jb"), TIMES, TIMES, TIMES)


@given(ENTRIES)
def test_an_envelope_gives_back_value_form_and_times(entry: Entry) -> None:
    found = open_envelope(seal_envelope(entry), version=3, evictable=True, tags=("t",))
    assert found == entry._replace(version=3, evictable=True, tags=("t",))


@given(ENTRIES, st.data())
def test_D9_one_changed_byte_is_noticed(entry: Entry, data: st.DataObject) -> None:
    sealed = bytearray(seal_envelope(entry))
    where = data.draw(st.integers(0, len(sealed) - 1))
    sealed[where] ^= data.draw(st.integers(1, 255))
    if where == 3:
        assert open_envelope(bytes(sealed)) is None  # another format number: of a version that is not known here
        return
    with pytest.raises(ValueError, match=r"written by Evox|checksum"):
        open_envelope(bytes(sealed))


@given(ENTRIES, st.data())
def test_D9_an_envelope_cut_short_is_noticed(entry: Entry, data: st.DataObject) -> None:
    sealed = seal_envelope(entry)
    with pytest.raises(ValueError, match=r"written by Evox|checksum"):
        open_envelope(sealed[: data.draw(st.integers(0, len(sealed) - 1))])


def test_another_format_is_nothing_at_all() -> None:
    sealed = bytearray(seal_envelope(Entry(b"1")))
    assert sealed[3] == FORMAT
    sealed[3] = FORMAT + 1
    assert open_envelope(bytes(sealed)) is None


def test_a_value_is_not_shown_and_rows_have_their_fields_where_they_are_said_to_be() -> None:
    entry = Entry(b"hunter2", keep_until=5.0, evictable=True, tags=("a",), version=9)
    assert "hunter2" not in repr(entry)
    row = tuple(entry)
    assert (row[DATA], row[KEEP_UNTIL], row[EVICTABLE], row[TAGS], row[VERSION]) == (b"hunter2", 5.0, True, ("a",), 9)
