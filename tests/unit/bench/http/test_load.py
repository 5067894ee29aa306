"""The load counts answers that are right, refuses those that are not, and counts time from when requests were due."""

import time
from collections.abc import Sequence

import pytest
from tests.unit.bench.http.answering import ITEM, Serve, answer

from evox.bench.http.events import listening
from evox.bench.http.load import at_rate, closed
from evox.bench.http.questions import Question, named
from evox.bench.http.wire import WrongAnswer

(GET,) = named(["path-parameter"])
(UPLOAD,) = named(["upload"])
(DOWNLOAD,) = named(["download"])
(EVENTS,) = named(["events"])
(REFUSED,) = named(["invalid-body"])
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def short(address: tuple[str, int], question: Question = GET, connections: int = 2) -> int:
    sample = closed(address, question, "", seconds=0.1, connections=connections)
    assert sample.busy is not None
    assert 0 < sample.busy <= 1.5  # the clocks of time and of the processor are not the same one
    assert 0 < sample.p50 <= sample.p99 < 10
    return len(sample.latencies)


@pytest.mark.parametrize(
    "pieces",
    [
        [answer()],
        [answer()[:20], answer()[20:]],
        [answer()[:-5], answer()[-5:]],
        [CHUNKED, b"8\r\n", ITEM[:8], b"\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(ITEM) - 8, ITEM[8:])],
    ],
    ids=["at once", "in its head", "in its body", "chunked"],
)
def test_right_answers_are_counted_however_they_arrive(serve: Serve, pieces: Sequence[bytes]) -> None:
    assert short(serve(lambda _: pieces)) > 2


def test_an_answer_may_change_its_length_where_only_a_header_differs(serve: Serve) -> None:
    assert short(serve(lambda number: [answer(more=b"Age: %d\r\n" % 3**number)])) > 2


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (answer(status=b"500 Oh"), "status 500"),
        (answer(b'{"item_id": 8, "name": "item 7"}'), "another answer"),
        (answer(b"hello"), "no JSON"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "unknown length"),
        (answer() + b"HTTP", "more than was asked for"),
        (None, "closed the connection"),
    ],
)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_a_wrong_answer_ends_the_measurement(serve: Serve, first: bytes | None, said: str, later: bool) -> None:
    if later and said == "another answer":
        return  # of later answers the length and the status line are compared, and this one has the same
    wrong = None if first is None else [first]
    address = serve(lambda number: wrong if number == 3 * later else [answer()])
    with pytest.raises((WrongAnswer, ConnectionError), match=said):
        short(address)


def test_another_status_is_noticed_though_the_length_is_the_same(serve: Serve) -> None:
    address = serve(lambda number: [answer() if number < 3 else answer().replace(b"200 OK", b"503 OK")])
    with pytest.raises(WrongAnswer, match="status 503"):
        short(address)


def test_refusals_are_right_where_they_are_asked_for(serve: Serve) -> None:
    assert short(serve(lambda _: [answer(b"{}", b"422 No")]), REFUSED) > 2
    with pytest.raises(WrongAnswer, match="status 200"):
        short(serve(lambda _: [answer(b"{}")]), REFUSED)


def test_a_megabyte_goes_in_both_directions(serve: Serve) -> None:
    assert short(serve(lambda _: [answer(b'{"size": 1000000}')]), UPLOAD) > 0
    assert short(serve(lambda _: [answer(bytes(1_000_000))]), DOWNLOAD) > 0


@pytest.mark.parametrize("count", [999_999, 1_000_001])
def test_a_download_of_another_size_is_wrong(serve: Serve, count: int) -> None:
    with pytest.raises(WrongAnswer, match="bytes in place of 1000000"):
        short(serve(lambda _: [answer(bytes(count))]), DOWNLOAD)


def test_nobody_there_is_told() -> None:
    with pytest.raises(OSError):  # noqa: PT011  which one depends on the system
        short(("127.0.0.1", 9))


def test_at_a_fixed_rate_as_many_are_sent_as_that_makes(serve: Serve) -> None:
    sample = at_rate(serve(lambda _: [answer()]), GET, "", rate=200, seconds=0.25, connections=4)
    assert len(sample.latencies) == 50
    assert 0 < sample.p50 < 1
    assert sample.busy is None


def test_a_stall_makes_all_late_that_were_due_in_it(serve: Serve) -> None:
    def stalling(number: int) -> list[bytes]:
        if number == 10:
            time.sleep(0.2)  # the server stands still
        return [answer()]

    sample = at_rate(serve(stalling), GET, "", rate=200, seconds=0.4, connections=1)
    assert len(sample.latencies) == 80
    late = [one for one in sample.latencies if one > 0.05]
    assert len(late) >= 20  # a load that waits for answers would have seen one


def test_requests_that_are_never_answered_count_with_the_time_that_they_waited(serve: Serve) -> None:
    sample = at_rate(serve(lambda _: []), GET, "", rate=100, seconds=0.1, connections=2)
    assert len(sample.latencies) == 10
    assert min(sample.latencies) > 0.9
    assert sample.rate == 0


def test_events_are_counted_over_all_clients_wherever_they_are_cut(serve: Serve) -> None:
    event = b'data: {"message":"Hello, World!"}\n\n'
    stream = [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", event]
    cut = [b"da", b"ta: {", *[event] * 50, b"dat", b"a: "]
    sample = listening(serve(lambda _: [*stream, *cut]), EVENTS, "", seconds=0.2, clients=3)
    assert 0 <= sample.rate * 0.2 <= 3 * 60


@pytest.mark.parametrize(
    ("said", "why"),
    [([answer(b"nothing", b"404 No")], "no stream"), (None, "the stream ended")],
)
def test_what_is_no_stream_is_told(serve: Serve, said: list[bytes] | None, why: str) -> None:
    address = serve(lambda _: said)
    with pytest.raises(WrongAnswer, match=why):
        listening(address, EVENTS, "", seconds=0.1, clients=1)
