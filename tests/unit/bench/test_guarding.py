"""What ``evox bench auth`` measures: tokens beside PyJWT, and requests that are let in, refused or not looked at."""

import gc
import math

from evox.bench import guarding


async def test_a_token_of_each_algorithm_is_verified_beside_pyjwt() -> None:
    found = await guarding.verifying(calls=2, rounds=3)
    assert [one.algorithm for one in found] == ["HS256", "ES256", "EdDSA", "RS256"]
    assert all(one.evox > 0 and one.pyjwt > 0 and math.isfinite(one.ratio) for one in found)


async def test_every_request_is_answered_as_its_name_says_and_compared_with_the_one_nobody_asks() -> None:
    found = {one.name: one for one in await guarding.requests(calls=2, rounds=3)}
    assert {name: one.status for name, one in found.items()} == {
        "nothing asks": 200,
        "public, no token": 200,
        "public, a good token": 200,
        "a role, a good token": 200,
        "a role, a bad signature": 401,
        "a role, no token": 401,
    }
    assert all(one.microseconds > 0 and math.isfinite(one.decodes) for one in found.values())
    assert (found[guarding.PLAIN].more, found[guarding.PLAIN].decodes) == (0, 0)


async def test_A2_a_forged_token_differs_from_the_good_one_in_its_signature_alone() -> None:
    assert guarding._forged("head.body.Abc") == "head.body.Bbc"
    assert guarding._forged("head.body.xbc") == "head.body.Abc"


async def test_the_collector_is_as_it_was_when_a_measurement_is_over() -> None:
    before = gc.isenabled(), gc.get_freeze_count() > 0
    await guarding.verifying(calls=1, rounds=1)
    assert (gc.isenabled(), gc.get_freeze_count() > 0) == before
