"""Over a connection, where a write takes the short way, no answer from before it is given once it is answered."""

from pathlib import Path

import anyio
import pytest
from fastapi import HTTPException
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response
from tests.lanes import running

from evox import Intent, ServiceBuilder

pytestmark = pytest.mark.usefixtures("http1")


class Stock:
    """Something that changes."""

    number = 1

    def change(self) -> int:
        self.number += 1
        return self.number


def shop(stock: Stock, url: str | None) -> ServiceBuilder:
    svc = ServiceBuilder("shop")
    kept = Intent(backend=url) if url is not None else Intent()

    @svc.get("/stock", cache="1h")
    @kept
    async def read() -> int:
        return stock.number

    @svc.get("/stock/1", cache="1h")
    @kept
    async def read_one() -> int:
        return stock.number

    @svc.get("/other", cache="1h")
    async def other() -> int:
        return stock.number

    _add_plain_writes(svc, stock)
    _add_odd_writes(svc, stock)
    return svc


def _add_plain_writes(svc: ServiceBuilder, stock: Stock) -> None:
    @svc.put("/stock/1")
    async def plain() -> int:
        return stock.change()

    @svc.post("/stock")
    async def takes(item: dict[str, int]) -> tuple[int, int]:
        return stock.change(), 201

    @svc.put("/stock")
    async def ready() -> Response:
        return Response(status_code=204 if stock.change() else 200)


def _add_odd_writes(svc: ServiceBuilder, stock: Stock) -> None:
    @svc.patch("/stock")
    async def refuses() -> int:
        raise HTTPException(500, str(stock.change()))

    @svc.delete("/stock")
    async def raises() -> int:
        raise ValueError(stock.change())

    @svc.delete("/stock/1")
    async def cannot_be_sent() -> Response:
        return Response(str(stock.change()), headers={"x": "a\nb"})

    @svc.post("/stock/1")
    async def goes_on() -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(stock.change))

    @svc.patch("/stock/1", timeout=0.1)
    async def is_out_of_time() -> None:
        stock.change()
        await anyio.sleep_forever()


# What lies below a path is not taken away with it, so it comes first.
WRITES = [f"{method} {path}" for path in ("/stock/1", "/stock") for method in ("PUT", "POST", "PATCH", "DELETE")]


@pytest.mark.parametrize("kept_in", ["memory", "a file", "both"])
async def test_D6_whatever_comes_of_a_write_its_client_reads_what_it_changed(kept_in: str, tmp_path: Path) -> None:
    stock = Stock()
    svc = shop(stock, None if kept_in == "memory" else f"sqlite:///{tmp_path}/answers.db")
    async with running(svc, sockets=True, raise_errors=False, root=tmp_path) as env:
        client = env.client(svc)
        if kept_in == "both":
            await client.get("/other")
        for write in WRITES:
            method, path = write.split()
            before = stock.number
            assert [(await client.get(path)).json() for _ in range(2)] == [before] * 2
            await client.request(method, path, json={"a": 1} if write == "POST /stock" else None)
            with anyio.fail_after(5):
                while (await client.get(path)).json() == before:
                    assert write == "POST /stock/1", write  # the only one that goes on
            assert (await client.get("/stock")).json() == stock.number == before + 1
