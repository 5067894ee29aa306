"""What `evox run` writes to its logs: no secret, however it is logged or raised, and for whom each line was written."""

import base64
import json
import re
import secrets
from typing import Any

import httpx2
import pytest
from tests.support import EvoxProcess, Run

CODE = """
    import logging
    import os
    import warnings
    from dataclasses import dataclass

    import structlog
    from pydantic import BaseModel, SecretStr

    from evox import EvoxError, Request, service
    from evox.core import auth

    bound = structlog.get_logger("bound").bind(at_import="yes")
    bound.warning("importing", password=os.environ["PLANT"])
    logging.basicConfig(force=True, format="mine %(message)s")  # what user code sets up is not what a run is told by
    noisy = logging.getLogger("noisy")
    noisy.addHandler(logging.StreamHandler())
    noisy.propagate = False

    svc = service("shop").port(0)
    log, std = structlog.get_logger(), logging.getLogger("mine")


    @dataclass
    class Login:
        user: str
        password: str


    class Account(BaseModel):
        api_key: str
        wrapped: SecretStr


    def plants() -> list[object]:
        plant, jwt = os.environ["PLANT"], os.environ["JWT"]
        return [
            {"password": plant},
            {"deep": [{"db": ({"clientSecret": [plant, {"a": plant}]},)}]},
            Login("ada", plant),
            Account(api_key=plant, wrapped=SecretStr(plant)),
            f"password={plant}",
            f"Authorization: Digest {plant}",
            f'{{"token": "{plant} {plant}"}}',
            f"Bearer {plant}",
            jwt,
            f"postgresql://me:{plant}@host/db",
            f"-----BEGIN PRIVATE KEY-----\\n{plant}\\n-----END PRIVATE KEY-----",
            [(b"cookie", plant.encode()), ("cookie", plant)],
            os.environ["SIGNING"],
            os.environ["DATABASE_PASSWORD"],
        ]


    @svc.get("/logs")
    @auth.public
    async def logs(request: Request) -> int:
        for plant in plants():
            std.warning("got %s", plant)
            std.warning("got %(a)s", {"a": plant})
            std.warning(f"got {plant}")
            std.warning("got %d", plant)
            std.warning(plant)
            std.warning("got", extra={"a": plant})
            noisy.error("got %r", plant)
            log.warning("got %s", plant)
            log.warning("got", a=plant, headers=request.headers)
            log.bind(a=plant).warning(plant)
            warnings.warn(f"got {plant}", stacklevel=1)
            try:
                raise ValueError(f"{plant}")
            except ValueError as error:
                error.add_note(f"{plant}")
                std.exception("failed")
                log.exception("failed", error_=error)
        raw = os.environ["PLANT"].encode()
        std.warning(raw)
        std.warning("got %s", raw, extra={"a": {"b": [raw]}})
        log.warning("got %s", raw, a=raw)
        return len(plants())


    @svc.get("/fails/{number}")
    @auth.public
    async def fails(number: int) -> None:
        plant = plants()[number]
        try:
            raise KeyError(plant)
        except KeyError as error:
            raise RuntimeError(f"{plant}", plant) from error


    @svc.get("/ours/{number}")
    @auth.public
    async def ours(number: int) -> None:
        raise EvoxError(f"{plants()[number]}", why=f"{plants()[number]}", fix=f"{plants()[number]}")


    @svc.get("/groups/{number}")
    @auth.public
    async def groups(number: int) -> None:
        raise ExceptionGroup(f"{plants()[number]}", [ValueError(plants()[number]), OSError(f"{plants()[number]}")])


    @svc.get("/asks")
    @auth.require_roles("user")
    async def asks() -> None: ...
"""
STOCK = """
    import logging

    from evox import service

    stock = service("stock").port(0)
    hall = service("hall").port(0)


    @stock.get("/count")
    async def count() -> int:
        logging.getLogger("mine").warning("counted")
        return 1


    @hall.get("/count")
    async def count_hall() -> int:
        logging.getLogger("mine").warning("counted in the hall")
        return 1
"""
SHOP = """
    import logging

    import structlog

    from evox import service
    from evox.core import proxy

    shop = service("shop").port(0)
    desk = service("desk").port(0)


    @shop.get("/")
    async def root() -> int:
        structlog.get_logger("mine").warning("asked")
        return int(await proxy.desk.ask()) + int(await proxy.stock.count())


    @desk.get("/ask")
    async def ask() -> int:
        logging.getLogger("mine").warning("asked again")
        return int(await proxy.hall.count_hall())


    @shop.get("/fails")
    async def fails() -> int:
        raise RuntimeError("it broke")
"""


def entries(process: EvoxProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.err.splitlines()]


@pytest.mark.parametrize("arguments", [(), ("--dev",)], ids=["json", "text"])
def test_no_secret_is_written_however_it_is_logged_or_raised(
    evox_run: Run, arguments: tuple[str, ...], backend: str
) -> None:
    plant, key, password = (f"Zq{secrets.token_hex(12)}" for _ in range(3))
    key += secrets.token_hex(12)
    claims = base64.urlsafe_b64encode(f'{{"sub":"{plant}"}}'.encode()).decode().rstrip("=")
    env = {
        "PLANT": plant,
        "JWT": f"eyJhbGciOiJIUzI1NiJ9.{claims}.{plant}",
        "SIGNING": key,
        "DATABASE_PASSWORD": password,
        "EVOX_DATA__DATABASE": f"postgresql://me:{password}@127.0.0.1:1/db",
        "EVOX_AUTH__KEYS": "env:SIGNING",
        "EVOX_AUTH__ISSUER": "me",
        "EVOX_AUTH__AUDIENCE": "me",
        "EVOX_LOG": "debug",
        "EVOX_BACKEND": backend,
    }
    process = evox_run({"shop.py": CODE}, "--json", *arguments, env=env)
    with process.client() as client:
        count = client.get("/logs").json()
        assert count == 14
        for number in range(count):
            for path in ("fails", "ours", "groups"):
                assert client.get(f"/{path}/{number}", headers={"Authorization": f"Bearer {plant}"}).status_code == 500
        assert client.get(f"/asks?password={plant}", headers={"Authorization": f"Bearer {plant}"}).status_code == 401
    process.end()
    written = process.out + process.err
    assert "importing" in written
    assert written.count("got") > 100
    assert "mine got" not in written
    for secret in (plant, key, password, claims, base64.b64encode(plant.encode()).decode()):
        assert secret not in written
    if not arguments:
        assert {"mine", "noisy", "shop", "py.warnings", "bound"} <= {one["logger"] for one in entries(process)}


def test_each_line_says_for_which_service_request_and_trace_it_was_written(evox_run: Run, backend: str) -> None:
    env = {"EVOX_BACKEND": backend}
    far = evox_run({"stock.py": STOCK}, "--json", "stock.py", env=env)
    peers = {name: far.url(name) for name in ("stock", "hall")}
    near = evox_run({"shop.py": SHOP}, "--json", "shop.py", env=env | {"EVOX_PEERS": json.dumps(peers)})
    with near.client("shop") as client:
        trace = secrets.token_hex(16)
        given = {"x-request-id": "mine", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        assert client.get("/", headers=given).json() == 2
        assert client.get("/").json() == 2
        assert client.get("/fails").status_code == 500
    assert near.end() == far.end() == 0
    lines = [one for one in (*entries(near), *entries(far)) if one["logger"] in ("mine", "evox.requests")]
    said = {"asked": "shop", "asked again": "desk", "counted": "stock", "counted in the hall": "hall"}
    first = [one for one in lines if one["request_id"] == "mine"]
    assert {one["message"]: one["service"] for one in first} == said
    assert {one["trace_id"] for one in first} == {trace}
    rest = [one for one in lines if one["message"] in said and one not in first]
    assert {one["message"]: one["service"] for one in rest} == said
    assert len({(one["request_id"], one["trace_id"]) for one in rest}) == 1
    assert re.fullmatch("[0-9a-f]{16}", rest[0]["request_id"])
    [failed] = [one for one in lines if one["logger"] == "evox.requests"]
    assert failed["service"] == "shop"
    assert failed["request_id"] not in ("mine", rest[0]["request_id"])
    assert failed["error"]["type"] == "RuntimeError"


def test_for_people_lines_say_it_behind_the_message(evox_run: Run) -> None:
    process = evox_run({"stock.py": STOCK}, "--dev", "stock.py")
    found = re.search(r"stock +(http://\S+)", process.wait_line("stock  "))
    assert found is not None
    with httpx2.Client(base_url=found[1]) as client:
        assert client.get("/count", headers={"x-request-id": "mine"}).json() == 1
    process.end()
    assert re.search(
        r"^\d\d:\d\d:\d\d warning counted service=stock request_id=mine trace_id=\w{32}$", process.err, re.MULTILINE
    )
    assert "\x1b" not in process.err
