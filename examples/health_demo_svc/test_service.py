"""The behaviour of the service. Each test runs it anew, on trio and on asyncio; where time passes it is virtual."""

import anyio

from evox.observe import Snapshot
from evox.testing import run_virtual, running

from .service import svc


async def test_it_is_ready_while_its_printer_works() -> None:
    async with running(svc) as env:
        client = env.client(svc)
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post("/labels/fragile")).json() == {"printed": "fragile"}
        assert (await client.get("/status")).json()["level"] == "pass"


def test_a_jam_is_seen_by_readiness_and_in_its_own_words_and_so_is_its_end() -> None:
    async def main() -> None:
        async with running(svc) as env:
            client = env.client(svc)
            await client.put("/printer", json={"jammed": True})
            await anyio.sleep(2)
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["checks"]) == (503, {"printer": [{"status": "fail"}]})
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.post("/labels/fragile")).status_code == 503
            await anyio.sleep(2)
            said = (await client.get("/status")).json()
            assert (said["level"], said["checks"]) == ("fail", {"printer": "fail"})
            assert said["diary"][-1] == "check printer fails: OSError: the printer is jammed"

            await client.put("/printer", json={"jammed": False})
            await anyio.sleep(2)
            assert (await client.get("/health/ready")).status_code == 200
            await anyio.sleep(2)
            said = (await client.get("/status")).json()
            assert (said["level"], said["diary"][-1]) == ("pass", "all is well")
            seen = Snapshot.model_validate((await client.get("/_evox/snapshot")).json())
            assert [(one.kind, one.until is None) for one in seen.incidents] == [("check", False)]

    run_virtual(main)


async def test_what_it_can_do_is_for_everybody_and_the_rest_is_switched_on_by_configuration() -> None:
    for access, wanted in (("off", 401), ("loopback", 200)):
        async with running(svc, settings={"observe": {"access": access}}) as env:
            client = env.client(svc)
            said = (await client.get("/capabilities")).json()
            assert (said["service"], said["management"]["access"]) == ("health-demo-service", access)
            assert (await client.get("/_evox/scheduled")).status_code == wanted
