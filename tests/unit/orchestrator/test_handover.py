"""Handover: listening sockets go up to the parent and down to the next child, and nothing is lost between."""

import json
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anyio
import pytest

from evox.orchestrator import Handover
from evox.orchestrator.handover import ENVIRONMENT, Receiver, environment_of
from evox.serving import bind


class Ends:
    """Both ends of a channel, and what a parent keeps."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.parent, self._child = (stack.enter_context(one) for one in socket.socketpair())

    def listening(self) -> socket.socket:
        return self._stack.enter_context(bind("127.0.0.1", 0, service="shop"))

    def child(self, **kept: socket.socket) -> Handover:
        """Make a child's end as a new process would: with descriptors of its own."""
        facts = {
            "channel": os.dup(self._child.fileno()),
            "sockets": {name: os.dup(one.fileno()) for name, one in kept.items()},
        }
        handover = Handover({ENVIRONMENT: json.dumps(facts)})
        assert handover._channel is not None
        self._stack.enter_context(handover._channel)
        for one in handover._inherited.values():
            self._stack.enter_context(one)
        return handover

    def leave(self) -> None:
        self.parent.close()

    def take_descriptors(self, descriptors: dict[str, int]) -> dict[str, tuple[str, int]]:
        """Return where received descriptors listen, and close them."""
        found = {}
        for name, descriptor in descriptors.items():
            with socket.socket(fileno=descriptor) as one:
                found[name] = one.getsockname()
        return found


def read(receiver: Receiver) -> tuple[list[str], dict[str, int]]:
    """Return the names of the events that have come, and descriptors."""
    received = receiver.receive()
    assert received is not None
    messages, sockets = received
    return [message["event"] for message in messages], sockets


@pytest.fixture
def ends() -> Iterator[Ends]:
    with ExitStack() as stack:
        yield Ends(stack)


async def test_without_a_parent_nothing_is_taken_kept_or_told() -> None:
    handover = Handover({})
    assert handover.take("127.0.0.1", 0, "shop") is None
    handover.keep({})
    handover.ready()
    with anyio.move_on_after(0.01) as waiting:
        await handover.wait_orphaned()
    assert waiting.cancelled_caught
    assert "nothing" in repr(handover)


def test_the_word_of_a_parent_is_not_passed_on_to_processes_that_the_child_starts(ends: Ends) -> None:
    environ = {ENVIRONMENT: json.dumps({"channel": os.dup(ends._child.fileno()), "sockets": {}}), "A_SETTING": "kept"}
    handover = Handover(environ)
    assert handover._channel is not None
    handover._channel.close()
    assert environ == {"A_SETTING": "kept"}


def test_a_child_takes_the_socket_that_listens_where_it_should(ends: Ends) -> None:
    kept = ends.listening()
    child = ends.child(shop=kept)
    assert "shop" in repr(child)
    taken = child.take("127.0.0.1", kept.getsockname()[1], "shop")
    assert taken is not None
    assert taken.getsockname() == kept.getsockname()
    assert not taken.getblocking()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_free_port_stays_the_one_that_was_taken_before(ends: Ends, host: str) -> None:
    kept = ends.listening()
    taken = ends.child(shop=kept).take(host, 0, "shop")
    assert taken is not None
    assert taken.getsockname() == kept.getsockname()


def test_a_socket_on_another_port_is_left_and_closed(ends: Ends) -> None:
    child = ends.child(shop=ends.listening())
    inherited = child._inherited["shop"]
    assert child.take("127.0.0.1", 1, "shop") is None
    assert inherited.fileno() == -1


def test_a_socket_on_another_address_is_left_and_closed(ends: Ends) -> None:
    kept = ends.listening()
    child = ends.child(shop=kept)
    inherited = child._inherited["shop"]
    assert child.take("127.0.0.2", kept.getsockname()[1], "shop") is None
    assert inherited.fileno() == -1


def test_a_service_that_is_new_takes_none(ends: Ends) -> None:
    assert ends.child(shop=ends.listening()).take("127.0.0.1", 0, "stock") is None


def test_what_no_service_took_is_closed(ends: Ends) -> None:
    child = ends.child(gone=ends.listening())
    inherited = child._inherited["gone"]
    child.keep({})
    assert inherited.fileno() == -1


def test_the_parent_gets_the_sockets_then_the_word_that_they_are_served(ends: Ends) -> None:
    shop, stock = ends.listening(), ends.listening()
    child = ends.child()
    child.keep({"shop": shop, "stock": stock})
    receiver = Receiver(ends.parent)
    events, sockets = read(receiver)
    assert events == ["sockets"]
    assert ends.take_descriptors(sockets) == {"shop": shop.getsockname(), "stock": stock.getsockname()}
    child.ready({"version": "1"})
    assert receiver.receive() == ([{"event": "ready", "facts": {"version": "1"}}], {})


def test_both_messages_in_one_read_are_both_seen(ends: Ends) -> None:
    shop = ends.listening()
    child = ends.child()
    child.keep({"shop": shop})
    child.ready()
    receiver = Receiver(ends.parent)
    events: list[str] = []
    sockets: dict[str, int] = {}
    while "ready" not in events:
        more, descriptors = read(receiver)
        events += more
        sockets |= descriptors
    assert events == ["sockets", "ready"]
    assert ends.take_descriptors(sockets) == {"shop": shop.getsockname()}


def test_a_child_that_is_gone_sends_nothing(ends: Ends) -> None:
    ends._child.close()
    assert Receiver(ends.parent).receive() is None


def test_a_message_longer_than_one_read_is_put_together(ends: Ends) -> None:
    ends.parent.setblocking(False)
    facts = {"notes": ["x" * 100_000]}
    child, receiver = ends.child(), Receiver(ends.parent)
    sending = threading.Thread(target=child.ready, args=(facts,))
    sending.start()
    messages: list[Any] = []
    while not messages:
        select.select([ends.parent], [], [], 5)
        received = receiver.receive()
        assert received is not None
        messages += received[0]
    sending.join(5)
    assert messages == [{"event": "ready", "facts": facts}]


async def test_a_child_sees_that_its_parent_is_gone(ends: Ends) -> None:
    child = ends.child()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(child.wait_orphaned)
            await anyio.wait_all_tasks_blocked()
            ends.leave()


def test_the_environment_of_a_child_names_channel_and_sockets(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", "kept")
    environ = environment_of(ends.parent, {"shop": 7})
    assert environ["A_SETTING"] == "kept"
    assert json.loads(environ[ENVIRONMENT]) == {
        "channel": ends.parent.fileno(),
        "sockets": {"shop": 7},
        "worker": False,
    }
