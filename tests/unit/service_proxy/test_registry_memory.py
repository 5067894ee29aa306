"""What is remembered of where a service runs: how long it is believed, what is left out, and what an outage changes."""

import pytest

from evox.service_proxy.registry_memory import Instance, RegistryMemory, is_address

A, B = "http://a:1", "http://b:1"
LEASE = 15.0


def memory(*found: tuple[str, float], began: float = 0.0, now: float = 0.0) -> RegistryMemory:
    made = RegistryMemory("users", LEASE)
    made.fetched(found, began=began, now=now)
    return made


def known(of: RegistryMemory, now: float) -> list[str] | None:
    found = of.known(now)
    return None if found is None else [one.url for one in found]


def test_nothing_is_known_before_it_was_asked_for() -> None:
    made = RegistryMemory("users", LEASE)
    assert made.is_due(0)
    assert made.known(0) is None


def test_an_answer_is_believed_for_a_third_of_a_lease_and_known_for_one_lease_more() -> None:
    made = memory((A, LEASE), now=1)
    assert not made.is_due(5.9)
    assert made.is_due(6)
    assert made.known(20.9) == (Instance("users", A),)
    assert made.known(21) is None


def test_an_instance_that_does_not_renew_is_over_with_its_lease_though_the_answer_is_still_believed() -> None:
    made = memory((A, 2), (B, 14), began=1, now=2)
    assert known(made, 2.9) == [A, B]
    assert known(made, 3.0) == [B]
    assert known(made, 20) == [B]  # gone before anybody was kept from renewing


def test_nobody_is_over_while_the_server_cannot_be_asked_as_nobody_can_renew() -> None:
    made = memory((A, 6))
    made.failed("gone", 5)
    assert known(made, 19.9) == [A]


def test_a_server_that_failed_is_left_alone_for_a_moment() -> None:
    made = memory((A, LEASE))
    made.failed("gone", 5)
    assert not made.is_due(5.9)
    assert made.is_due(6)
    assert made.why == "gone"


def test_what_is_forgotten_is_left_out_until_an_answer_that_was_asked_for_later() -> None:
    made = memory((A, LEASE), (B, LEASE))
    made.forget(A, 2)
    assert known(made, 2) == [B]
    made.fetched([(A, LEASE), (B, LEASE)], began=1, now=3)  # it was under way when that was found out
    assert known(made, 3) == [B]
    made.fetched([(A, LEASE), (B, LEASE)], began=3, now=4)
    assert known(made, 4) == [A, B]


def test_what_is_not_known_cannot_be_forgotten_and_takes_no_memory() -> None:
    made = memory((A, LEASE))
    made.forget(B, 1)
    made.fetched([(B, LEASE)], began=0, now=2)
    assert known(made, 2) == [B]


def test_after_an_outage_those_who_have_yet_to_renew_are_kept_for_a_third_of_a_lease() -> None:
    made = memory((A, LEASE), (B, LEASE))
    made.failed("gone", 5)
    made.forget(B, 5)
    made.fetched([], began=6, now=6)  # a server that keeps nothing on disk
    assert known(made, 10.9) == [A]
    made.fetched([(B, LEASE)], began=11, now=11)
    assert known(made, 11) == [B]


def test_after_a_long_outage_nothing_is_kept_longer_than_it_is_known() -> None:
    made = memory((A, LEASE))
    made.failed("gone", 5)
    made.fetched([], began=19, now=19)
    assert known(made, 19.9) == [A]
    assert known(made, 20) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "https://10.0.0.7:8443",
        "HTTP://A.example.com/",
        "http://[::1]:80",
        "http://my_svc:1/v1/@x",
        "http://a-b.",
    ],
)
def test_an_address_is_http_or_https_with_a_host(url: str) -> None:
    assert is_address(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "a",
            "http:",
            "http://",
            "http:///x",
            "http://:80",
            "ftp://a",
            "//a",
            " http://a",
            "http://a ",
            "http://a\n",
        ),
        *("http://me@a", "http://me:pw@a", "http://@a", "http://a@b", "http://a?x=1", "http://a/#x", "http://a\\@b"),
        *("http://a:0", "http://a:65536", "http://a:", "http://a:x", "http://a:-1", "http://[::1", "http://[x]"),
        *("http://\u0430", "http://a/\u0430", "http://a\tb", "http://a:٣", "http://a/" + "x" * 2000, "http://a-"),
    ],
)
def test_nothing_else_is_an_address(url: str) -> None:
    assert not is_address(url)
