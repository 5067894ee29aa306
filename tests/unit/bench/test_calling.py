"""What ``evox bench proxy`` measures: a call within the process, beside the coroutine and the same over HTTP."""

import math

from evox.bench import calling


async def test_each_way_is_called_and_compared_with_the_coroutine_and_the_call_within_the_process() -> None:
    found = {one.name: one for one in await calling.calling(calls=2, rounds=3)}
    assert list(found) == [calling.BARE, calling.INSIDE, "httpx2, over HTTP", "proxy, over HTTP"]
    assert all(one.microseconds > 0 and math.isfinite(one.slower) for one in found.values())
    assert (found[calling.BARE].more, found[calling.INSIDE].slower) == (0, 1)
