"""What an admission costs: measured in one run, each beside the limiter that it is compared with."""

import math

from evox.bench import DEPTH, measure


async def test_every_cost_is_measured_and_compared_with_the_limiter_of_the_same_run(anyio_backend: str) -> None:
    costs = {cost.name: cost for cost in await measure(calls=50, rounds=1)}
    assert costs["anyio.CapacityLimiter"].ratio == 1.0
    assert ("trio.CapacityLimiter" in costs) == (anyio_backend == "trio")
    assert f"Scheduler, HIGH beside {DEPTH} waiting LOW" in costs
    assert all(cost.microseconds > 0 and math.isfinite(cost.ratio) for cost in costs.values())
