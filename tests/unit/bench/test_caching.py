"""What ``evox bench data`` measures of caches: right answers of Evox, wrong ones of the control, on both loops."""

import importlib.util
import math

import pytest

from evox.bench import caching, peers


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out whatever peers are installed: they are asyncio's."""
    monkeypatch.setattr(peers, "NAMES", dict.fromkeys(peers.NAMES, "evox.no_such_module"))


@pytest.mark.usefixtures("alone")
async def test_a_hit_costs_less_than_a_miss_and_has_no_ratio_without_its_peer() -> None:
    for one, name in zip(await caching.reads(calls=50), ("evox", "evox, before SQLite"), strict=True):
        assert (one.name, one.ratio) == (name, None)
        assert one.hit > 0
        assert one.miss > 0
        assert math.isfinite(one.hit + one.miss)


@pytest.mark.usefixtures("alone")
async def test_scans_cost_evox_fewer_hits_than_the_control() -> None:
    evox, naive = await caching.hit_ratios(requests=20_000)
    assert (evox.name, naive.name) == ("evox", "naive")
    assert 0.5 < naive.zipf < evox.zipf < 1
    assert naive.zipf_and_scan < evox.zipf_and_scan


@pytest.mark.usefixtures("alone")
async def test_D4_500_misses_are_one_call_and_who_stays_is_served_and_the_control_fails_at_it() -> None:
    evox, naive = await caching.crowds()
    assert (evox.calls, evox.calls_after_leaving, evox.served) == (1, 1, 19)
    assert naive.calls == 500


def test_expiry_is_measured_beside_a_control_that_removes_all_at_once() -> None:
    evox, naive = caching.expiry(entries=3000)
    assert (evox.name, naive.name) == ("evox", "naive")
    assert evox.longest > 0
    assert naive.longest > 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_how_long_cashews_holds_the_loop_is_measured_where_it_is_installed() -> None:
    found = await caching.expiry_of_cashews(entries=1000)
    installed = importlib.util.find_spec("cashews") is not None
    assert [one.name for one in found] == (["cashews"] if installed else [])
    assert all(one.longest > 0 for one in found)


@pytest.mark.parametrize("name", [*peers.NAMES])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_peer_that_is_installed_stores_and_fills(name: str) -> None:
    if importlib.util.find_spec(peers.NAMES[name]) is None:
        pytest.skip("not installed")
    (cache,) = (one for one in peers.contestants(100) if one.name == name)
    await cache.put("a", 1, 60)
    assert await cache.get("a") == 1
    calls: list[str] = []

    async def load(key: str) -> str:
        calls.append(key)
        return key.upper()

    read = cache.filled(load)
    assert (await read("b"), await read("b")) == ("B", "B")
    assert calls == ["b"]
    assert name in peers.versions()
