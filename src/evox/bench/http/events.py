"""Events: counts server-sent events that many clients get, who all listen at the same time."""

import re
import socket
import time
from contextlib import ExitStack
from typing import Final

from evox.bench.http.figures import Sample
from evox.bench.http.questions import Question
from evox.bench.http.watching import READ, Watch, watching
from evox.bench.http.wire import CONNECT, Address, WrongAnswer

__all__ = ["listening"]

PATIENCE: Final = 10.0
"""Seconds in which every client has to hear something."""
_EVENT: Final = b"data:"
_RIGHT: Final = re.compile(rb'^data: ?\{"message": ?"Hello, World!"\}\r?\n\r?\n', re.MULTILINE)


def listening(address: Address, question: Question, token: str, *, seconds: float, clients: int) -> Sample:
    """Listen for a while, from when each client has heard something.

    Args:
        address: Of the server.
        question: Which stream.
        token: For the question that needs one.
        seconds: How long.
        clients: How many.

    Raises:
        WrongAnswer: if a stream is not one, ends, or is not heard by all.
        OSError: if the server does not take a connection, or breaks one.
    """
    request = question.request(token)
    with ExitStack() as stack:
        watch = stack.enter_context(watching())
        streams: dict[int, socket.socket] = {}
        for _ in range(clients):
            one = stack.enter_context(socket.create_connection(address, CONNECT))
            one.setblocking(False)
            streams[one.fileno()] = one
            watch.register(one.fileno(), READ)
            one.send(request)
        _begun(watch, streams)
        tails = dict.fromkeys(streams, b"")
        heard, began, cost = 0, time.perf_counter(), time.process_time()
        end = began + seconds
        while (now := time.perf_counter()) < end:
            for descriptor, _ in watch.poll(end - now):
                data = streams[descriptor].recv(65_536)
                if not data:
                    raise WrongAnswer("the stream ended")
                data = tails[descriptor] + data
                heard += data.count(_EVENT)
                # What may be the beginning of the mark, and is too short to be counted twice.
                tails[descriptor] = data[1 - len(_EVENT) :]
        took = time.perf_counter() - began
        return Sample(heard / took, (), (time.process_time() - cost) / took)


def _begun(watch: Watch, streams: dict[int, socket.socket]) -> None:
    """Wait until each client has heard a right event."""
    received = dict.fromkeys(streams, b"")
    silent, end = set(streams), time.monotonic() + PATIENCE
    while silent:
        if time.monotonic() > end:
            raise WrongAnswer(f"{len(silent)} of {len(streams)} clients hear nothing")
        for descriptor, _ in watch.poll(PATIENCE / 10):
            data = streams[descriptor].recv(65_536)
            if not data:
                raise WrongAnswer("the stream ended")
            if descriptor not in silent:
                continue
            received[descriptor] += data
            head, _, body = received[descriptor].partition(b"\r\n\r\n")
            if body and not head.startswith(b"HTTP/1.1 200 "):
                raise WrongAnswer(f"no stream: {head[:100]!r}")
            if _RIGHT.search(body):
                silent.discard(descriptor)
