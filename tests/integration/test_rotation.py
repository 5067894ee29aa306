"""Rotation: keys of files are replaced while services answer, and no token of a key that is there is ever refused."""

import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from evox import Service, service
from evox.auth import Authority, Key
from evox.auth.issuing import Issuer
from evox.core import auth
from evox.testing import Env, running

FILE = "keys.json"
WITHIN = 10.0  # seconds in which anything here happens
POLL = 0.01
ROTATIONS = 30 if os.environ.get("EVOX_SOAK") else 10


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be looked at every 10 ms."""
    monkeypatch.setattr("evox.auth.authority.POLL", POLL)


def made(name: str = "shop") -> Service:
    svc = service(name)

    @svc.get("/me")
    @auth.require_roles("user")
    async def me() -> str:
        return auth.current().subject

    return svc


def key(kid: str) -> Key:
    return Key.generate("EdDSA", kid=kid)


def token(signer: Key) -> str:
    return Issuer(lambda: signer, issuer="evox", audience="evox").issue("ada", roles=["user"])


def put(file: Path, *keys: Key) -> None:
    """Put a file of keys in the place of another, in one step."""
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps({"keys": [one.secret_jwk() for one in keys]}))
    beside.replace(file)


@asynccontextmanager
async def shop(folder: Path, *services: Service, **settings: Any) -> AsyncIterator[tuple[Env, Authority]]:
    async with running(*services, root=folder, settings={"auth": {"keys": [FILE], **settings}}) as env:
        yield env, env.service(services[0]).authority


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(WITHIN):
        while not holds():  # noqa: ASYNC110  a thread looks at files
            await anyio.sleep(POLL / 2)


def kids(authority: Authority) -> list[str]:
    return [text.split("'")[1] for text in authority.statistics().keys]


async def status(env: Env, svc: Service, signer: Key) -> int:
    return (await env.client(svc, token=token(signer)).get("/me")).status_code


class Load:
    """Many clients that ask without a pause, each with a token that is to be accepted."""

    def __init__(self, env: Env, svc: Service) -> None:
        self._client = env.client(svc)
        self.answers: Counter[tuple[str, int]] = Counter()

    async def ask(self, kid: str, signed: str) -> None:
        answer = await self._client.get("/me", headers={"authorization": f"Bearer {signed}"})
        self.answers[kid, answer.status_code] += 1

    async def keep_asking(self, signer: Key, stop: anyio.Event) -> None:
        signed = token(signer)
        while not stop.is_set():
            await self.ask(str(signer.kid), signed)
            await anyio.lowlevel.checkpoint()

    async def more(self, *wanted: Key) -> None:
        """Wait until there were more answers to tokens of these keys."""
        before = self.answers.copy()
        await until(lambda: all(self.answers[one.kid or "", 200] > before[one.kid or "", 200] + 20 for one in wanted))


async def test_a_key_is_rotated_as_the_documentation_says_and_no_token_is_refused_too_soon(tmp_path: Path) -> None:
    old, new, svc = key("old"), key("new"), made()
    put(tmp_path / FILE, old)
    async with shop(tmp_path, svc) as (env, authority), anyio.create_task_group() as clients:
        load, stop_old, stop_new = Load(env, svc), anyio.Event(), anyio.Event()
        assert await status(env, svc, new) == 401
        for _ in range(25):
            clients.start_soon(load.keep_asking, old, stop_old)
        await load.more(old)

        put(tmp_path / FILE, old, new)
        await until(lambda: kids(authority) == ["old", "new"])
        for _ in range(25):
            clients.start_soon(load.keep_asking, new, stop_new)
        await load.more(old, new)

        put(tmp_path / FILE, new, old)
        await until(lambda: kids(authority) == ["new", "old"])
        assert (await env.client(svc, token=env.token("ada", roles=["user"])).get("/me")).status_code == 200
        await load.more(old, new)

        before = load.answers["new", 200]
        stop_old.set()  # its last token has expired
        await until(lambda: load.answers["new", 200] > before + 200)
        put(tmp_path / FILE, new)
        await until(lambda: kids(authority) == ["new"])
        await load.more(new)
        assert await status(env, svc, old) == 401
        stop_new.set()
    assert {code for _, code in load.answers} == {200}


async def test_rotations_in_a_row_under_load_refuse_nobody(tmp_path: Path) -> None:
    keys, svc = [key(f"k{number}") for number in range(ROTATIONS + 2)], made()
    signed = [token(one) for one in keys]
    put(tmp_path / FILE, keys[0], keys[1])
    async with shop(tmp_path, svc) as (env, authority), anyio.create_task_group() as clients:
        load, current, open_now, is_over = Load(env, svc), 1, Counter[int](), False

        async def ask() -> None:
            while not is_over:
                mine = current
                open_now[mine] += 1
                await load.ask(f"k{mine}", signed[mine])
                open_now[mine] -= 1
                await anyio.lowlevel.checkpoint()

        for _ in range(20):
            clients.start_soon(ask)
        for number in range(2, ROTATIONS + 2):
            await until(lambda oldest=number - 2: open_now[oldest] == 0)  # type: ignore[misc]
            put(tmp_path / FILE, keys[number - 1], keys[number])
            await until(lambda wanted=[f"k{number - 1}", f"k{number}"]: kids(authority) == wanted)  # type: ignore[misc]
            current = number
        is_over = True
    assert {code for _, code in load.answers} == {200}
    assert sum(load.answers.values()) > 10 * ROTATIONS


@pytest.mark.parametrize("garbage", ["", "{", '{"keys": []}', "short", "change-me-change-me-change-me-change-me", None])
async def test_a_file_that_cannot_be_used_leaves_the_old_keys_and_is_logged_once(
    tmp_path: Path, garbage: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Two services of one runtime look at the files, and one line is written."""
    old, new, svc, other = key("old"), key("new"), made(), made("other")
    put(tmp_path / FILE, old)
    async with shop(tmp_path, svc, other) as (env, authority):
        if garbage is None:
            (tmp_path / FILE).unlink()
        else:
            (tmp_path / FILE).write_text(garbage)
        await until(lambda: "keys have changed and cannot be used; the old ones stay" in caplog.text)
        assert not authority._has_changed()  # so it is not looked at again
        assert [await status(env, one, old) for one in (svc, other)] == [200, 200]
        put(tmp_path / FILE, new)
        await until(lambda: kids(authority) == ["new"])
        assert [await status(env, svc, one) for one in (old, new)] == [401, 200]
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert FILE in record.message
    assert "change-me" not in record.message


async def test_one_file_that_cannot_be_used_is_no_reason_to_leave_out_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Then both were read again each second, and each time the same error was logged."""
    old, svc = key("old"), made()
    put(tmp_path / FILE, old)
    put(tmp_path / "internal.json", key("a"))
    async with shop(tmp_path, svc, internal_keys=["internal.json"]) as (env, authority):
        (tmp_path / FILE).write_text("{")
        put(tmp_path / "internal.json", key("b"))
        keys = authority._internal_keys
        assert keys is not None
        await until(lambda: keys.signing is not None and keys.signing.kid == "b")
        await until(lambda: not authority._has_changed())
        assert await status(env, svc, old) == 200
    assert 1 <= sum(record.levelname == "ERROR" for record in caplog.records) <= 2  # one for each file that changed


def mount(folder: Path, name: str, *keys: Key) -> None:
    """Publish keys as Kubernetes publishes a secret: a new folder, and a link to it that is replaced in one step."""
    (folder / name).mkdir()
    put(folder / name / FILE, *keys)
    link = folder / "..data_tmp"
    link.symlink_to(name)
    before = (folder / "..data").readlink() if (folder / "..data").is_symlink() else None
    link.replace(folder / "..data")
    if before is not None:
        shutil.rmtree(folder / before)


async def test_a_secret_that_kubernetes_replaces_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new, svc = key("old"), key("new"), made()
    mount(tmp_path, "..2026_11_01", old)
    (tmp_path / FILE).symlink_to(f"..data/{FILE}")
    async with shop(tmp_path, svc) as (env, authority), anyio.create_task_group() as clients:
        load, stop = Load(env, svc), anyio.Event()
        for _ in range(10):
            clients.start_soon(load.keep_asking, old, stop)
        await load.more(old)
        mount(tmp_path, "..2026_11_02", new, old)
        await until(lambda: kids(authority) == ["new", "old"])
        await load.more(old)
        stop.set()
        assert [await status(env, svc, one) for one in (old, new)] == [200, 200]
    assert {code for _, code in load.answers} == {200}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_file_that_is_written_piece_by_piece_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    old, new, svc = key("old"), key("new"), made()
    put(tmp_path / FILE, old)
    text = json.dumps({"keys": [new.secret_jwk()]})
    async with shop(tmp_path, svc) as (env, authority):
        with (tmp_path / FILE).open("w") as file:
            for begin in range(0, len(text), 40):
                file.write(text[begin : begin + 40])
                file.flush()
                await anyio.sleep(POLL)
                assert begin + 40 >= len(text) or await status(env, svc, old) == 200
        await until(lambda: kids(authority) == ["new"])
        assert [await status(env, svc, one) for one in (old, new)] == [401, 200]
