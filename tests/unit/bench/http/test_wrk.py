"""What wrk writes is understood, and what it is told is what the question asks."""

import pytest

from evox.bench.http.questions import QUESTIONS, named
from evox.bench.http.wire import WrongAnswer
from evox.bench.http.wrk import parsed, script

RECORDED = """\
Running 1s test @ http://127.0.0.1:8000/items/7
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.33ms    1.71ms  24.77ms   94.29%
    Req/Sec     7.53k   685.27     8.26k    90.00%
  Latency Distribution
     50%    4.06ms
     75%    4.44ms
     90%  980.00us
     99%    1.24s 
  7494 requests in 1.00s, 1.07MB read
Requests/sec:   7491.25
Transfer/sec:      1.07MB
"""  # noqa: W291  so it writes
REFUSED = RECORDED.replace("Requests/sec", "  Non-2xx or 3xx responses: 7494\nRequests/sec")
BROKEN = RECORDED.replace("Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 1\nRequests/sec")


def test_rate_and_times_are_read_in_each_unit() -> None:
    found = parsed(RECORDED, refused=False)
    assert (found.rate, found.p99, found.busy) == (7491.25, 1.24, None)
    assert found.p50 == pytest.approx(0.00406)
    assert parsed(RECORDED.replace("4.06ms", "406.00us"), refused=False).p50 == pytest.approx(0.000406)


def test_refusals_are_wrong_unless_they_were_asked_for() -> None:
    assert parsed(REFUSED, refused=True).rate == 7491.25
    with pytest.raises(WrongAnswer, match="Non-2xx or 3xx responses: 7494"):
        parsed(REFUSED, refused=False)


def test_answers_are_wrong_where_refusals_were_asked_for() -> None:
    with pytest.raises(WrongAnswer, match="accepted"):
        parsed(RECORDED, refused=True)


@pytest.mark.parametrize("refused", [True, False])
def test_errors_of_sockets_are_wrong_in_any_case(refused: bool) -> None:
    with pytest.raises(WrongAnswer, match="connect 0, read 3, write 0, timeout 1"):
        parsed(BROKEN, refused=refused)


def test_what_is_no_result_is_told() -> None:
    with pytest.raises(WrongAnswer, match="something else"):
        parsed("unable to connect", refused=False)


def test_the_script_says_method_headers_and_body() -> None:
    (body,) = named(["body"])
    lines = script(body, "").splitlines()
    assert lines[:3] == [
        'wrk.method = "POST"',
        'wrk.headers["Accept"] = "*/*"',
        'wrk.headers["Content-Type"] = "application/json"',
    ]
    assert lines[3].startswith('wrk.body = "{\\"name\\": \\"lamp\\", \\"price\\": 12.5, ')
    (authorised,) = named(["authorised"])
    assert 'wrk.headers["Authorization"] = "Bearer abc"' in script(authorised, "abc")


def test_wrk_sends_what_is_small_and_sent_as_fast_as_it_is_answered() -> None:
    plain = [one.name for one in QUESTIONS if one.plain]
    assert plain == ["json", "path-parameter", "body", "invalid-body", "cached", "authorised"]
