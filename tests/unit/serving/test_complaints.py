"""Complaints: counted always, logged once in ten seconds for each reason, and safe to print."""

import logging

import pytest

import evox.serving.complaints as module
from evox.serving import Complaints, Reason

PEER = "10.0.0.7:50122"


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def complaints(clock: Clock, caplog: pytest.LogCaptureFixture) -> Complaints:
    caplog.set_level(logging.WARNING, "evox.serving")
    return Complaints("shop")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_line_names_service_peer_reason_and_detail(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    complaints.note(Reason.MALFORMED, PEER, "a folded header")
    assert lines(caplog) == ["shop: client 10.0.0.7:50122: malformed: a folded header"]


def test_a_line_without_detail_ends_with_the_reason(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    complaints.note(Reason.SURPLUS, PEER)
    assert lines(caplog) == ["shop: client 10.0.0.7:50122: too many connections"]


def test_one_line_of_a_reason_is_written_in_ten_seconds(
    complaints: Complaints, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        complaints.note(Reason.FLOOD, PEER)
        clock.now += 0.0099
    assert len(lines(caplog)) == 1


def test_the_next_line_says_how_many_it_stands_for(
    complaints: Complaints, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(8):
        complaints.note(Reason.FLOOD, PEER)
    clock.now += 10
    complaints.note(Reason.FLOOD, PEER)
    clock.now += 10
    complaints.note(Reason.FLOOD, PEER)
    assert [line.rpartition("flood")[2] for line in lines(caplog)] == ["", " (and 7 more since the last such line)", ""]


def test_one_reason_does_not_silence_another(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    for reason in Reason:
        complaints.note(reason, PEER)
        complaints.note(reason, PEER)
    assert len(lines(caplog)) == len(Reason)


def test_the_first_line_is_written_even_if_the_clock_starts_at_zero(
    complaints: Complaints, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.now = 0.0
    complaints.note(Reason.SILENT, PEER)
    assert len(lines(caplog)) == 1


def test_all_are_counted_by_reason_whether_logged_or_not(complaints: Complaints) -> None:
    for _ in range(5):
        complaints.note(Reason.HEAD_TOO_LARGE, PEER)
    complaints.note(Reason.SILENT, PEER)
    assert complaints.counts == {"head too large": 5, "silent": 1}
    assert "6" in repr(complaints)


def test_nothing_is_counted_before_anything_happened(complaints: Complaints) -> None:
    assert complaints.counts == {}


def test_counts_that_were_taken_do_not_change_later(complaints: Complaints) -> None:
    complaints.note(Reason.SILENT, PEER)
    taken = complaints.counts
    complaints.note(Reason.SILENT, PEER)
    assert taken == {"silent": 1}


@pytest.mark.parametrize("detail", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\0b", "a\x9bb", "a\u2028b", "a\ud800b", "a\x7fb"])
def test_what_a_client_sent_is_printed_in_one_line_of_plain_ascii(
    complaints: Complaints, caplog: pytest.LogCaptureFixture, detail: str
) -> None:
    complaints.note(Reason.MALFORMED, PEER, detail)
    (line,) = lines(caplog)
    assert line.isascii()
    assert line.isprintable()
    assert line.startswith("shop: client 10.0.0.7:50122: malformed: a\\")


def test_a_long_detail_is_cut_short(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    complaints.note(Reason.MALFORMED, PEER, "\n" * 100_000)
    assert len(lines(caplog)[0]) < 300
