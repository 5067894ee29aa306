"""Sources that fail: the first by name and all others as one, so that nothing else is crowded out."""

from typing import Any

import anyio

from evox import ServiceBuilder
from evox.observe.sources import NAMED, OTHERS, Sources
from evox.testing import run_virtual, running


def test_the_first_are_named_and_others_counted() -> None:
    sources = Sources(lambda _: True)
    assert [sources.failed(f"key {number}") for number in range(NAMED)] == [(f"key {one}", 1) for one in range(NAMED)]
    assert [sources.failed(f"key {number}") for number in (10, 11, 11)] == [(OTHERS, 1), (OTHERS, 2), (OTHERS, 2)]
    assert sources.failed("key 3") == ("key 3", 1)
    assert repr(sources) == "<Sources: 10 named, 2 others>"
    assert [sources.recovered(key) for key in ("key 10", "key 11", "key 3")] == [None, OTHERS, "key 3"]
    assert sources.failed("key 12") == ("key 12", 1)


def test_what_has_settled_makes_room() -> None:
    settled: set[str] = set()
    sources = Sources(lambda subject: subject not in settled)
    for number in range(NAMED):
        sources.failed(f"key {number}")
    settled.add("key 4")
    assert [sources.failed(key) for key in ("key 20", "key 21")] == [("key 20", 1), (OTHERS, 1)]
    sources.clear()
    assert repr(sources) == "<Sources: 0 named, 0 others>"


def test_a_source_of_many_keys_is_a_few_incidents_and_all_are_over_when_it_is_back() -> None:
    async def main() -> None:
        svc, bad = ServiceBuilder("shop"), False

        @svc.get("/prices/{item}", cache="1ms", fallback="aggressive", max_stale="1h")
        async def prices(item: int) -> int:
            if bad:
                raise OSError("no answer")
            return item

        async with running(svc, raise_errors=False) as env:
            client = env.client(svc)

            async def ask() -> list[dict[str, Any]]:
                for number in range(100):
                    assert (await client.get(f"/prices/{number}")).status_code == 200
                found: list[dict[str, Any]] = (await client.get("/_evox/errors")).json()["incidents"]
                return found

            await ask()
            await anyio.sleep(0.1)
            bad = True
            found = await ask()
            assert [one["subject"] for one in found][:2] == [OTHERS, "GET /prices/9"]
            assert found[0]["reason"] == "old copies of 90 more are served: OSError: no answer"
            assert len(found) == NAMED + 1
            bad = False
            await anyio.sleep(31)
            assert all(one["until"] is not None for one in await ask())

    run_virtual(main)
