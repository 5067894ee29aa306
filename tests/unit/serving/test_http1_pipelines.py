"""What a parser is given between two requests is the next one's, whenever it comes."""

import h11
import pytest

from evox.config import ServingSettings
from evox.serving.hypercorn_adapter.http1 import _Parser

FIRST = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKS = b"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
THIRD = b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("cut", [5, 10, 20])
def test_V4_chunks_that_waited_end_where_they_do_though_more_came_before_they_were_read(cut: int) -> None:
    parser = _Parser(ServingSettings(), h2c=False)
    parser.receive_data(FIRST + CHUNKS + THIRD[:cut])
    assert [type(parser.next_event()) for _ in range(2)] == [h11.Request, h11.EndOfMessage]
    assert parser.next_event() is h11.NEED_DATA
    parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    parser.send(h11.EndOfMessage())
    parser.start_next_cycle()
    parser.resume()
    parser.receive_data(THIRD[cut:])
    assert [type(parser.next_event()) for _ in range(2)] == [h11.Request, h11.EndOfMessage]
