"""What an example documents is what it does: requests made from its OpenAPI document, good ones and bad ones.

No answer is a 5xx, none is one that the document does not know, and what asks for a token refuses whoever has none or a
bad one. The tool runs in a process of its own, with the same seed each time; more of it with ``make soak``.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support import EvoxProcess, Run, environment

from evox.auth import Key
from evox.auth.issuing import Issuer

SOAK = bool(os.environ.get("EVOX_SOAK"))
EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "Zx8k2LqPw5vN9rT3yB7mJ4hG6fD1sA0c-schemathesis"
SETTINGS: Mapping[str, str] = {
    "EVOX_AUTH__KEYS": "env:SHOP_SECRET",
    "EVOX_AUTH__DOCS": "true",
    "SHOP_SECRET": SECRET,
    "PYTHONPATH": str(EXAMPLES.parent),
}
CONFIGURATION = """
seed = 20261128
[auth.openapi.bearerAuth]
bearer = "${TOKEN}"
"""
PLANTED = """
    from evox import service
    from evox.core import auth

    svc = service("planted").port(0)
    asks = {"security": [{"bearerAuth": []}]}


    @svc.get("/secret")
    @auth.require_roles("admin")
    async def secret() -> int:
        return 7


    @svc.get("/forgotten", openapi_extra=asks, responses={401: {}, 403: {}})
    @auth.public
    async def forgotten() -> int:
        return 7


    @svc.get("/broken/{number}")
    @auth.public
    async def broken(number: int) -> int:
        return 7 // (number - number)
"""


def schemathesis(process: EvoxProcess, folder: Path, examples: int) -> "subprocess.CompletedProcess[str]":
    """Let every operation of a running service be called, by a caller who may call all of them."""
    issuer = Issuer(lambda: Key.from_secret(SECRET), issuer="evox", audience="evox")
    token = issuer.issue("ada", roles=["customer", "clerk", "admin"])
    (folder / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"]
    options = ["--checks", "all", "--continue-on-failure", "--max-examples", str(examples), "--no-color"]
    return subprocess.run(
        [*command, f"{process.url()}/openapi.json", *options],
        cwd=folder,
        env=environment({"TOKEN": token}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.soak
@pytest.mark.timeout(600 if SOAK else 60)
def test_A1_A4_the_secured_example_does_what_it_documents(backend: str, evox_run: Run, tmp_path: Path) -> None:
    target = str(EXAMPLES / "secured_orders_svc")
    process = evox_run({}, target, "--json", "--port", "0", "--backend", backend, env=SETTINGS)
    done = schemathesis(process, tmp_path, 200 if SOAK else 4)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 selected / 8 total" in done.stdout
    assert '"level": "ERROR"' not in process.err


@pytest.mark.timeout(60)
def test_what_is_planted_is_found(backend: str, evox_run: Run, tmp_path: Path) -> None:
    files = {"planted.py": PLANTED}
    process = evox_run(files, "planted.py", "--json", "--port", "0", "--backend", backend, env=SETTINGS)
    done = schemathesis(process, tmp_path, 2)
    assert done.returncode == 1, done.stdout + done.stderr
    for operation, fault in (("GET /forgotten", "API accepts "), ("GET /broken/{number}", "Server error")):
        assert fault in done.stdout.partition(f"_ {operation} _")[2].partition("\n___")[0], done.stdout
    assert "_ GET /secret _" not in done.stdout
