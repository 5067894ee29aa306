"""Client: what a connection knows about the client of a request, and tells the door."""

import select
import socket
from typing import Any

import pytest

from evox.serving import Client
from evox.serving.client import client_of, hung_up


def test_a_client_is_there_until_it_leaves() -> None:
    client = Client()
    assert (client.gone, client.body_arrived) == (False, False)
    assert "there" in repr(client)
    client.leave()
    assert client.gone
    assert "gone" in repr(client)


def test_leaving_is_told_once() -> None:
    told: list[str] = []
    client = Client()
    client.on_gone = lambda: told.append("gone")
    client.leave()
    client.leave()
    assert told == ["gone"]


def test_it_counts_as_gone_when_it_is_told() -> None:
    seen: list[bool] = []
    client = Client()
    client.on_gone = lambda: seen.append(client.gone)
    client.leave()
    assert seen == [True]


def test_leaving_needs_nobody_who_listens() -> None:
    Client().leave()


def test_it_is_found_in_the_scope_it_has_entered() -> None:
    scope: dict[str, Any] = {"extensions": {}}
    client = Client()
    client.enter(scope)
    assert client_of(scope) is client


def test_under_a_server_that_does_not_tell_there_is_none() -> None:
    assert client_of({}) is None
    assert client_of({"extensions": {}}) is None


def test_it_can_be_told_before_all_that_came_is_read() -> None:
    told: list[bool] = []
    client = Client()
    client.tell()  # nobody listens yet
    client.on_gone = lambda: told.append(client.gone)
    client.tell()
    client.tell()
    client.leave()
    assert told == [False]
    assert client.gone


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="only Linux tells of an end not yet read")
def test_a_hang_up_is_seen_behind_bytes_that_nobody_has_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"unread")
        assert not hung_up(ours.fileno())
        theirs.shutdown(socket.SHUT_WR)
        assert hung_up(ours.fileno())
    assert hung_up(-1)  # ours is closed
