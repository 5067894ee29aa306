"""What ``evox bench data`` measures of storage: real files, and another process that writes."""

import pytest

from evox.bench import storing


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # which aiosqlite needs
async def test_writes_are_measured_beside_aiosqlite_in_the_same_run() -> None:
    found = {one.name: one for one in await storing.writes(count=100)}
    assert set(found) == {"evox", "aiosqlite", "aiosqlite, shared"}
    assert found["aiosqlite"].ratios == dict.fromkeys(storing.TASKS, 1.0)
    assert all(rate > 0 for one in found.values() for rate in one.rates.values())


async def test_a_copy_is_told_of_changes_and_the_controls_is_not() -> None:
    evox, naive = await storing.behind(count=10)
    assert (evox.name, naive.name) == ("evox", "naive")
    assert 0 < evox.median <= evox.longest
    assert naive.longest > evox.median
