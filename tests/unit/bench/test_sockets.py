"""The measurement over real sockets: a server of its own for each way to admit, and every request accounted for."""

from evox.bench import measure_ceiling, measure_sockets
from evox.scheduling import Priority


async def test_a_load_that_the_seats_can_bear_is_answered_with_and_without_levels() -> None:
    measured = await measure_sockets(load=0.1, seconds=0.5, seed=1, ceiling=200)
    assert [one.name for one in measured] == ["one FIFO", "priority"]
    for one in measured:
        offered = sum(tally.offered for tally in one.tallies.values())
        assert offered > 0
        assert sum(len(tally.took) for tally in one.tallies.values()) == offered
    with_levels, without = ({level: one.tallies[level].offered for level in Priority} for one in measured)
    assert with_levels == without


async def test_the_ceiling_is_what_the_server_answers_when_nothing_waits() -> None:
    assert await measure_ceiling(seconds=0.3) > 0
