"""No view, log line or answer has a secret in it, wherever it was planted: each is looked for in all of them."""

import json
from typing import Any

import httpx2
from tests.support import Run

from evox.services.observing import VIEWS, view_path

TOKEN = "w9Xk2Lm7Qp4Rt8Vz1Ns6Hd3Fb5Jc0Ga-e"
KEY = "kQ7vT2mN9xB4cR6wZ1yL8pH3sD5fG0jA"
PASSWORD = "hunter2-and-more"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJyb2xlcyI6WyJhZG1pbiJdfQ.c2lnbmF0dXJlLXRoYXQtaXMtbm9uZQ"
OWN = "sk_live_51H8xQzJ3kLmN0pQr"
SECRETS = (TOKEN, KEY, PASSWORD, JWT, OWN)

SVC = f"""
import logging
from evox import ServiceBuilder, Request, inject
from evox.core import auth

log = logging.getLogger("shop")
svc = ServiceBuilder("shop").port(0)
URL = "postgresql://shop:{PASSWORD}@db.example/shop"

@svc.get("/url")
@auth.public
async def url() -> None:
    raise ConnectionError(f"cannot reach {{URL}}")

@svc.get("/token")
@auth.public
async def token(request: Request) -> None:
    log.warning("who is %s", request.headers["authorization"])
    raise ValueError("not good: " + request.headers["authorization"])

@svc.get("/rates", cache="1ms", fallback="aggressive", max_stale="1h")
@auth.public
async def rates(fail: bool = False) -> int:
    if inject(State).fails:
        raise ConnectionError(f"cannot reach {{URL}} with {JWT}")
    return 1

class State:
    fails = False

@svc.get("/fail")
@auth.public
async def fail() -> None:
    inject(State).fails = True

@svc.get("/secret")
@auth.require_roles("admin")
async def secret() -> None: ...

@svc.background_task(interval="50ms", on_error="log")
async def tidy() -> None:
    raise RuntimeError(f"cannot reach {{URL}} with Bearer {JWT}")

@svc.health_check("database")
async def database() -> None:
    raise ConnectionError(f"cannot reach {{URL}}")
"""


def test_O1_no_secret_is_in_any_view_log_line_or_answer(evox_run: Run, backend: str) -> None:
    environ = {
        "EVOX_OBSERVE__TOKENS": "env:LOOK",
        "LOOK": TOKEN,
        "EVOX_AUTH__KEYS": "env:SIGN",
        "SIGN": KEY,
        "EVOX_CONFIG__PAYMENT__API_KEY": OWN,
        "EVOX_CONFIG__PAYMENT__NOTE": OWN,
        "EVOX_PROXY__REGISTRY": f"valkey://app:{PASSWORD}@127.0.0.1:1/0",
        "EVOX_LOG": "DEBUG",
    }
    process = evox_run({"shop.py": SVC}, "--json", "--backend", backend, env=environ)
    said: list[str] = []
    with process.client("shop") as client:
        paths = ("/url", "/token", "/rates", "/fail", "/rates", "/secret", "/health", "/health/ready", "/capabilities")
        said += [_whole(client.get(path, headers={"authorization": f"Bearer {JWT}"})) for path in (*paths, *paths)]
        said += [_whole(client.get(path)) for path in ("/openapi.json", "/docs", "/nothing")]
        for view in VIEWS:
            reply = client.get(view_path(view), headers={"authorization": f"Bearer {TOKEN}"})
            assert (view, reply.status_code) == (view, 200)
            said.append(_whole(reply))
        snapshot: dict[str, Any] = client.get("/_evox/snapshot", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert process.end() == 0
    kinds = {one["kind"] for one in snapshot["incidents"]}
    assert {"endpoint", "task", "source", "check"} <= kinds  # they were there to be told
    assert snapshot["recent"]
    said += [process.out, process.err]
    found = [
        (secret, text[max(0, at - 80) : at + 40])
        for text in said
        for secret in SECRETS
        if (at := text.find(secret)) >= 0
    ]
    assert found == []
    assert "***" in json.dumps(snapshot)


def _whole(reply: httpx2.Response) -> str:
    return f"{reply.status_code} {dict(reply.headers)} {reply.text}"
