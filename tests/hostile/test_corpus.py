"""Every hostile input against ``evox run``: the next request is answered, by the same process, and nothing is left.

Inputs that begin as plain HTTP/1.1 meet both who serve it; what is HTTP/2 or TLS from its first byte on meets one.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.hostile.corpus import CORPUS
from tests.hostile.peer import Address, Hostile, Protocol, attack, health
from tests.hostile.victim import Victims, baseline, settled
from tests.lanes import LANES, ONE_WAY, Lane

pytestmark = pytest.mark.usefixtures("http1")

AT_ONCE = 4
PROTOCOLS: tuple[Protocol, ...] = ("http1", "h2c", "http2", "websocket", "tls")
BOTH: tuple[Protocol, ...] = ("http1", "h2c", "websocket")


def lanes(protocol: Protocol) -> tuple[Lane, ...]:
    return LANES if protocol in BOTH else LANES[:1]


INPUTS = [(one, lane) for one in CORPUS for lane in lanes(one.protocol)]
WAVES = [(protocol, lane) for protocol in PROTOCOLS for lane in lanes(protocol)]


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    victims = Victims(tmp_path_factory.mktemp)
    yield victims
    victims.close()


@pytest.mark.parametrize(("hostile", "http1"), INPUTS, ids=str, indirect=["http1"])
def test_V2_the_next_request_is_answered_within_a_second_by_the_same_process(
    hostile: Hostile, backend: str, victims: Victims
) -> None:
    tls = hostile.protocol == "tls"
    victim = victims.get(backend, tls=tls)
    attack(victim.address(), hostile)
    health(victim.address(), tls=tls)
    assert victim.process.poll() is None, victim.err


@pytest.mark.parametrize(("protocol", "http1"), WAVES, indirect=["http1"])
def test_V2_no_task_and_no_descriptor_is_left_two_seconds_after_all_inputs_of_a_protocol(
    protocol: Protocol, backend: str, victims: Victims
) -> None:
    tls = protocol == "tls"
    victim = victims.get(backend, tls=tls)
    before = baseline(victim.address(), tls=tls)
    _loose(victim.address(), [one for one in CORPUS if one.protocol == protocol])
    after = settled(victim.address(), before, tls=tls)
    assert all(left <= had for left, had in zip(after, before, strict=True)), _left(before, after)


@ONE_WAY
@pytest.mark.parametrize("protocol", ["http1", "http2", "websocket"])
def test_V2_no_task_and_no_descriptor_is_left_by_the_same_inputs_over_tls(
    protocol: Protocol, backend: str, victims: Victims
) -> None:
    victim = victims.get(backend, tls=True)
    alpn = ("h2",) if protocol == "http2" else ("http/1.1",)
    before = baseline(victim.address(), tls=True)
    _loose(victim.address(), [one for one in CORPUS if one.protocol == protocol], alpn)
    after = settled(victim.address(), before, tls=True)
    assert all(left <= had for left, had in zip(after, before, strict=True)), _left(before, after)


def _loose(address: Address, inputs: list[Hostile], alpn: tuple[str, ...] | None = None) -> None:
    """Let some attackers loose at a time; whoever is refused because another one is at work tries no more."""

    def one(hostile: Hostile) -> None:
        try:
            attack(address, hostile, tls=alpn)
        except OSError:
            return

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, inputs))


def _left(before: tuple[int, int], after: tuple[int, int]) -> str:
    return f"tasks and descriptors: {before} before, {after} after; control.py --server evox [--tls] names the input"
