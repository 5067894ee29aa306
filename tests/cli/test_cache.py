"""``evox cache invalidate`` beside ``evox run``: what it takes away, of whom, and who may."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.cli.conftest import Evox
from tests.support import Run

SHOP = """
from evox import Intent, data_io, service

svc = service("shop").port(0)
made = 0


@svc.get("/items/{item}")
@Intent(cacheable=True, ttl=600)
async def item(item: str) -> dict[str, int]:
    global made
    made += 1
    return {"made": made}


@svc.post("/users/{user}")
async def keep(user: str) -> None:
    await data_io.write(f"user:{user}", user, ttl=600, tags=["people"])


@svc.get("/users/{user}")
async def look(user: str) -> dict[str, object]:
    return {"kept": await data_io.read(f"user:{user}")}
"""
OTHER = 'from evox import service\n\nsvc = service("other").port(0)\n'


def said(done: Any) -> dict[str, Any]:
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_what_is_named_is_taken_away_and_nothing_else(
    evox_run: Run, evox: Evox, place: dict[str, str], backend: str
) -> None:
    run = evox_run({"shop.py": SHOP, "other.py": OTHER}, "--json", "--backend", backend, env=place)
    with run.client("shop") as shop:
        assert [shop.get("/items/1").json()["made"] for _ in range(2)] == [1, 1]
        for user in ("ann", "bob"):
            shop.post(f"/users/{user}")
        counted = said(evox("cache", "invalidate", "/items/1", "--dry-run", "--json"))
        assert counted == {
            "schema": 1,
            "dry_run": True,
            "count": 1,
            "services": [
                {"pid": run.process.pid, "service": "other", "count": 0, "error": None},
                {"pid": run.process.pid, "service": "shop", "count": 1, "error": None},
            ],
        }
        assert shop.get("/items/1").json()["made"] == 1
        done = evox("cache", "invalidate", "/items/1")
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 copy taken away" in done.stdout
        assert shop.get("/items/1").json()["made"] == 2
        assert said(evox("cache", "invalidate", "user:ann", "--json"))["count"] == 1
        assert [shop.get(f"/users/{user}").json()["kept"] for user in ("ann", "bob")] == [None, "bob"]
        assert said(evox("cache", "invalidate", "--tag", "people", "--service", "other", "--json"))["count"] == 0
        assert said(evox("cache", "invalidate", "--tag", "people", "--json"))["count"] == 1
        assert said(evox("cache", "invalidate", "--all", "--json"))["count"] == 1
        assert shop.get("/items/1").json()["made"] == 3
    run.wait_error("operator: invalidated")
    assert "people" in run.err


def test_all_workers_are_told(evox_run: Run, evox: Evox, place: dict[str, str]) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", "--workers", "2", env=place)
    run.event("started")
    done = said(evox("cache", "invalidate", "--all", "--json"))
    assert len({one["pid"] for one in done["services"]}) == 2


def test_a_copy_that_workers_share_is_counted_once(evox_run: Run, evox: Evox, place: dict[str, str]) -> None:
    """What broke: two workers on one file counted each copy, and the sum said that there are twice as many."""
    settings = {"EVOX_DATA__BACKEND": "sqlite:///shared.db"}
    run = evox_run({"shop.py": SHOP}, "--json", "--workers", "2", env=place | settings)
    with run.client("shop") as shop:
        for user in ("ann", "bob", "cid"):
            shop.post(f"/users/{user}")
    for named in (("--tag", "people"), ("--prefix", "user:")):
        assert said(evox("cache", "invalidate", *named, "--dry-run", "--json"))["count"] == 3
    assert said(evox("cache", "invalidate", "user:ann", "--json"))["count"] == 1
    assert said(evox("cache", "invalidate", "--tag", "people", "--json"))["count"] == 2


def test_processes_of_another_project_are_left_alone(
    evox_run: Run, evox: Evox, place: dict[str, str], tmp_path: Path
) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", env=place)
    run.event("started")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    refused = evox("cache", "invalidate", "--all", cwd=elsewhere)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "EVX-308" in refused.stderr
    assert str(tmp_path) in refused.stderr
    assert said(evox("cache", "invalidate", "--all", "--project", str(tmp_path), "--json", cwd=elsewhere))["count"] == 0
    shutil.rmtree(elsewhere)


def test_an_operator_token_of_the_configuration_has_to_be_shown(
    evox_run: Run, evox: Evox, place: dict[str, str]
) -> None:
    token = {"OPERATOR": "o" * 40}
    run = evox_run({"shop.py": SHOP}, "--json", env=place | token | {"EVOX_CONTROL__TOKEN": "env:OPERATOR"})
    run.event("started")
    for arguments, env in (((), {}), (("--token-from", "env:OPERATOR"), {"OPERATOR": "w" * 40})):
        refused = evox("cache", "invalidate", "--all", *arguments, env=env)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "EVX-309" in refused.stderr
        assert "--token-from" in refused.stderr
    done = evox("cache", "invalidate", "--all", "--token-from", "env:OPERATOR", "--json", env=token)
    assert said(done)["count"] == 0
    assert "o" * 40 not in run.err + run.out + done.stdout
    assert not list(Path(place["XDG_RUNTIME_DIR"]).rglob("*.operator"))


def test_where_control_is_off_nothing_can_be_changed(evox_run: Run, evox: Evox, place: dict[str, str]) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", env=place | {"EVOX_CONTROL__SOCKET": "false"})
    run.event("started")
    refused = evox("cache", "invalidate", "--all", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["id"] == "EVX-308"
    assert "control.socket" in refused.stderr
    assert not list(Path(place["XDG_RUNTIME_DIR"]).rglob("*.ctl"))


def test_the_control_socket_is_its_owners_alone_and_hears_nobody_without_the_token(
    evox_run: Run, place: dict[str, str]
) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", env=place)
    run.event("started")
    (path,) = Path(place["XDG_RUNTIME_DIR"]).rglob("*.ctl")
    (token,) = Path(place["XDG_RUNTIME_DIR"]).rglob("*.operator")
    assert [one.stat().st_mode & 0o777 for one in (path, token, path.parent)] == [0o600, 0o600, 0o700]
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        body = {"selection": {"everything": True}}
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {token.read_text()}"}):
            assert client.post("/cache/invalidate", json=body, headers=headers).status_code == 401
        headers = {"authorization": f"Bearer {token.read_text()}"}
        assert client.post("/cache/invalidate", json=body, headers=headers).status_code == 200
        assert client.get("/cache/invalidate", headers=headers).status_code == 405
        wrong: dict[str, Any]
        for wrong in ({}, {"selection": {}}, {"selection": {"key": "a", "tag": "b"}}, {"selection": body, "x": 1}):
            assert client.post("/cache/invalidate", json=wrong, headers=headers).status_code == 422
        assert client.post("/cache/invalidate", content=b"{", headers=headers).status_code == 422
        assert client.post("/cache/invalidate", content=b"x" * 100_000, headers=headers).status_code == 413
    run.process.terminate()
    run.process.wait(15)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "name one of"),
        (("a", "--tag", "b"), "name one of"),
        (("--tag", "b", "--type", "c"), "--type goes with"),
        (("",), "is no key"),
        (("--prefix", ""), "--prefix: String should have at least 1 character"),  # was told without its option
        (("--tag", "x" * 5000), "--tag: String should have at most"),
        (("a", "--service", "shopp"), "there are: shop"),
        (("a", "--type", "Profile"), "there are: none"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_a_mistake_of_the_command_line(
    evox_run: Run, evox: Evox, place: dict[str, str], arguments: tuple[str, ...], why: str
) -> None:
    run = evox_run({"shop.py": SHOP}, "--json", env=place)
    run.event("started")
    refused = evox("cache", "invalidate", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert why in refused.stderr


def test_where_nothing_runs_it_says_so(evox: Evox) -> None:
    refused = evox("cache", "invalidate", "user:1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "evox run" in refused.stderr
