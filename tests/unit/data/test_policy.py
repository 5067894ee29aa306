"""Policy: what an intent leads to, and what is refused because it contradicts itself or cannot be kept."""

from typing import Any

import pytest

from evox.data import Intent
from evox.data.policy import DEFAULT_MAX_STALE, DEFAULT_TTL, Facts, Policy, check_backend, policy_of
from evox.errors import InvalidDeclaration


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        ({}, Policy()),
        ({"consistency": "eventual"}, Policy(near=True)),
        ({"consistency": "strong"}, Policy(strong=True)),
        ({"cacheable": True}, Policy(evictable=True, ttl=DEFAULT_TTL, near=True)),
        ({"ttl": "5m"}, Policy(evictable=True, ttl=300.0, near=True)),
        ({"ttl": 5, "consistency": "strong"}, Policy(evictable=True, ttl=5.0, strong=True)),
        (
            {"ttl": 5, "fallback": "aggressive"},
            Policy(evictable=True, ttl=5.0, near=True, max_stale=DEFAULT_MAX_STALE),
        ),
        (
            {"ttl": 5, "fallback": "aggressive", "max_stale": "1h", "soft_timeout": 0.2},
            Policy(evictable=True, ttl=5.0, near=True, max_stale=3600.0, soft_timeout=0.2),
        ),
        (
            {"ttl": 5, "timeout": 1, "eager": 0.8, "jitter": 0.1, "negative_ttl": 2},
            Policy(evictable=True, ttl=5.0, near=True, timeout=1.0, eager=0.8, jitter=0.1, negative_ttl=2.0),
        ),
    ],
)
def test_an_intent_leads_to_one_policy(said: dict[str, Any], policy: Policy) -> None:
    assert policy_of(Intent(**said)) == policy


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"ttl": 5, "fallback": "aggressive", "consistency": "strong"}, "strong is never stale"),
        ({"fallback": "aggressive"}, "nothing is kept to fall back to"),
        ({"ttl": 5, "max_stale": 5}, "about old values"),
        ({"ttl": 5, "soft_timeout": 5}, "about old values"),
        ({"eager": 0.5}, "about copies"),
        ({"jitter": 0.5}, "about copies"),
        ({"negative_ttl": 5}, "about copies"),
        ({"timeout": 5}, "about copies"),
        ({"ttl": 0}, "nothing is fresh for no time"),
    ],
)
def test_a_contradiction_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidDeclaration, match=why):
        policy_of(Intent(**said))


MEMORY, SHARED = Facts("memory", shared=False), Facts("sqlite", shared=True)
LOOSE = Facts("valkey", shared=True, linearizable=False, why_not="appendfsync is everysec")


def test_D1_strong_is_refused_where_it_cannot_be_kept() -> None:
    strong, weak = Policy(strong=True), Policy()
    check_backend(strong, MEMORY, workers=1, on="type 'User'")
    check_backend(strong, SHARED, workers=4, on="type 'User'")
    check_backend(weak, MEMORY, workers=4, on="type 'User'")
    check_backend(weak, LOOSE, workers=4, on="type 'User'")
    with pytest.raises(InvalidDeclaration, match="each worker's own, and there are 4"):
        check_backend(strong, MEMORY, workers=4, on="type 'User'")
    with pytest.raises(InvalidDeclaration, match="appendfsync is everysec"):
        check_backend(strong, LOOSE, workers=1, on="type 'User'")
