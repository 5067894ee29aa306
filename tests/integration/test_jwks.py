"""A5: keys that a real HTTPS server publishes: what is fetched, what is not believed, and who is answered meanwhile."""

import gzip
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme
from fastapi.responses import JSONResponse, RedirectResponse, Response

from evox import Service, service
from evox.auth import Key
from evox.auth.issuing import Issuer
from evox.auth.jwks import LARGEST, FetchedKeys
from evox.core import auth
from evox.errors import EvoxError, UnusableKey
from evox.testing import Env, running

ISSUER, AUDIENCE = "https://login.example", "shop"
OLD, NEW = (Key.generate("EdDSA", kid=name) for name in ("old", "new"))
SECRET = Key.generate("HS256", kid="new")
GOOD = {"keys": [OLD.public_jwk()]}


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate for 127.0.0.1, its key, its authority, and another authority."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    made = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.write_to_path(folder / "other.pem")
    return folder


class Login:
    """An issuer whose answer a test chooses."""

    def __init__(self, answer: Callable[[], Response]) -> None:
        self.answer = answer
        self.hangs = False
        self.paths: list[str] = []
        self.service: Service = service("login")

        @self.service.get("/jwks.json")
        @auth.public
        async def jwks() -> Response:
            self.paths.append("/jwks.json")
            if self.hangs:
                await anyio.sleep_forever()
            return self.answer()

        @self.service.get("/elsewhere.json")
        @auth.public
        async def elsewhere() -> Response:
            self.paths.append("/elsewhere.json")
            return JSONResponse(GOOD)


def made() -> Service:
    svc = service("shop")

    @svc.get("/me")
    @auth.require_roles("user")
    async def me() -> str:
        return auth.current().subject

    @svc.get("/prices")
    @auth.public
    async def prices() -> str:
        return auth.current().kind

    return svc


def token(signer: Key, audience: str = AUDIENCE) -> str:
    return Issuer(lambda: signer, issuer=ISSUER, audience=audience).issue("ada", roles=["user"])


class Shop:
    """A service that believes an issuer."""

    def __init__(self, env: Env, svc: Service) -> None:
        self.env, self.service = env, svc

    async def get(self, path: str, signed: str | None = None) -> httpx2.Response:
        return await self.env.client(self.service, token=signed).get(path)

    async def status(self, signer: Key) -> int:
        return (await self.get("/me", token(signer))).status_code

    def pass_time(self) -> None:
        """Let it be long ago that keys were fetched, so that the next unknown one fetches."""
        keys = self.env.service(self.service).authority._keys
        assert isinstance(keys, FetchedKeys)
        keys._not_before = -math.inf


@asynccontextmanager
async def shop(
    certified: Path, login: Service, *, host: str = "127.0.0.1", cafile: str = "ca.pem", **settings: Any
) -> AsyncIterator[Shop]:
    serving = {"serving": {"certfile": "cert.pem", "keyfile": "key.pem"}, **settings}
    async with running(login, sockets=True, settings=serving, root=certified) as issuing:
        url = issuing.url(login).replace("127.0.0.1", host) + "/jwks.json"
        own = {"jwks_url": url, "jwks_cafile": cafile, "issuer": ISSUER, "audience": AUDIENCE}
        svc = made()
        async with running(svc, settings={"auth": own}, root=certified) as env:
            yield Shop(env, svc)


async def test_A5_keys_that_another_service_publishes_are_believed(certified: Path) -> None:
    login = service("login")

    @login.get("/jwks.json")
    @auth.public
    async def jwks() -> dict[str, Any]:
        return auth.public_jwks()

    (certified / "keys.json").write_text(json.dumps({"keys": [OLD.secret_jwk(), NEW.secret_jwk()]}))
    async with shop(certified, login, auth={"keys": ["keys.json"]}) as one:
        assert [await one.status(signer) for signer in (OLD, NEW)] == [200, 200]
        assert (await one.get("/me", token(OLD, audience="bank"))).status_code == 401
        assert await one.status(Key.generate("EdDSA", kid="old")) == 401
        assert (await one.get("/me")).status_code == 401


async def test_A5_a_new_key_is_fetched_for_the_first_token_that_names_it_and_a_removed_one_refused(
    certified: Path,
) -> None:
    login = Login(lambda: JSONResponse(GOOD))
    async with shop(certified, login.service) as one:
        assert await one.status(OLD) == 200
        login.answer = lambda: JSONResponse({"keys": [NEW.public_jwk()]})
        assert [await one.status(signer) for signer in (OLD, OLD)] == [200, 200]
        assert login.paths == ["/jwks.json"]
        assert [await one.status(signer) for signer in (NEW, OLD)] == [401, 200]  # too soon
        one.pass_time()
        assert [await one.status(signer) for signer in (NEW, OLD)] == [200, 401]


async def test_A5_a_crowd_with_tokens_of_a_new_key_waits_for_one_fetch(certified: Path) -> None:
    login, answers = Login(lambda: JSONResponse(GOOD)), []
    async with shop(certified, login.service) as one:
        one.pass_time()
        login.answer = lambda: JSONResponse({"keys": [NEW.public_jwk()]})
        signed = token(NEW)

        async def ask() -> None:
            answers.append((await one.get("/me", signed)).status_code)

        async with anyio.create_task_group() as clients:
            for _ in range(100):
                clients.start_soon(ask)
        assert (answers, len(login.paths)) == ([200] * 100, 2)


MIXED = {
    "keys": [
        {**NEW.public_jwk(), "use": "enc"},
        SECRET.secret_jwk(),
        {**NEW.secret_jwk()},
        {"kty": "OKP", "crv": "X25519", "x": NEW.public_jwk()["x"], "kid": "new"},
        OLD.public_jwk(),
    ]
}


async def test_A5_keys_for_encryption_secrets_and_private_keys_are_passed_over(certified: Path) -> None:
    login = Login(lambda: JSONResponse(MIXED))
    async with shop(certified, login.service) as one:
        assert [await one.status(signer) for signer in (OLD, NEW, SECRET)] == [200, 401, 401]


BIG = json.dumps({**GOOD, "more": "x" * LARGEST}).encode()
ANSWERS: dict[str, tuple[Callable[[], Response], str]] = {
    "500": (lambda: JSONResponse(GOOD, 500), "it answers 500"),
    "404": (lambda: JSONResponse(GOOD, 404), "it answers 404"),
    "204": (lambda: Response(status_code=204), "it answers 204"),
    "redirect": (lambda: RedirectResponse("/elsewhere.json"), "it answers 307"),
    "moved": (lambda: RedirectResponse("/elsewhere.json", 301), "it answers 301"),
    "too large": (lambda: Response(BIG), f"it is larger than {LARGEST} bytes"),
    "too large when unpacked": (
        lambda: Response(gzip.compress(BIG), headers={"content-encoding": "gzip"}),
        f"it is larger than {LARGEST} bytes",
    ),
    "not json": (lambda: Response("<html>"), "cannot be fetched"),
    "no jwks": (lambda: JSONResponse(OLD.public_jwk()), "it is no JWKS"),
    "nothing": (lambda: JSONResponse({"keys": []}), "it is empty"),
    "secrets": (lambda: JSONResponse({"keys": [SECRET.secret_jwk()]}), "it is published, and should be secret"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_A5_while_there_are_no_keys_tokens_get_503_and_the_public_is_answered(
    certified: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer, why = ANSWERS[kind]
    login = Login(answer)
    async with shop(certified, login.service) as one:
        one.pass_time()
        refused = await one.get("/me", token(OLD))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "www-authenticate" not in refused.headers
        assert "login" not in refused.text
        assert "127.0.0.1" not in refused.text
        assert (await one.get("/me")).status_code == 401
        assert (await one.get("/prices")).json() == "anonymous"
        assert (await one.get("/prices", token(OLD))).json() == "anonymous"
        assert why in caplog.text
        assert (await one.get("/health")).status_code == 200
        login.answer = lambda: JSONResponse(GOOD)
        one.pass_time()
        assert await one.status(OLD) == 200
        login.answer = answer
        one.pass_time()
        assert [await one.status(signer) for signer in (NEW, OLD)] == [401, 200]
    assert "/elsewhere.json" not in login.paths
    assert token(OLD).split(".")[0] not in caplog.text
    assert SECRET.secret_jwk()["k"] not in caplog.text


@pytest.mark.parametrize(("host", "cafile"), [("127.0.0.1", "other.pem"), ("localhost", "ca.pem")])
async def test_A5_a_server_with_another_certificate_is_not_believed(
    certified: Path, host: str, cafile: str, caplog: pytest.LogCaptureFixture
) -> None:
    login = Login(lambda: JSONResponse(GOOD))
    async with shop(certified, login.service, host=host, cafile=cafile) as one:
        assert await one.status(OLD) == 503
        assert (await one.get("/prices")).status_code == 200
    assert login.paths == []
    assert "cannot be fetched, and there are none" in caplog.text


async def test_A5_a_server_that_hangs_holds_up_neither_the_start_nor_a_client(
    certified: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("evox.auth.jwks.LIMIT", 0.3)
    login = Login(lambda: JSONResponse(GOOD))
    login.hangs = True
    with anyio.fail_after(8):
        async with shop(certified, login.service) as one:
            one.pass_time()
            assert await one.status(OLD) == 503
            assert (await one.get("/prices")).status_code == 200
            login.hangs = False
            one.pass_time()
            assert await one.status(OLD) == 200
    assert "it did not answer within 0.3 s" in caplog.text


async def test_A5_a_server_that_is_gone_leaves_the_keys_that_were_fetched(certified: Path) -> None:
    login, svc = Login(lambda: JSONResponse(GOOD)), made()
    serving = {"serving": {"certfile": "cert.pem", "keyfile": "key.pem"}}
    own: dict[str, Any] = {"jwks_cafile": "ca.pem", "issuer": ISSUER, "audience": AUDIENCE}
    async with running(login.service, sockets=True, settings=serving, root=certified) as issuing:
        own["jwks_url"] = issuing.url(login.service) + "/jwks.json"
        async with running(svc, settings={"auth": own}, root=certified) as env:
            one = Shop(env, svc)
            assert await one.status(OLD) == 200
            await issuing.close()
            issuing.abort()
            one.pass_time()
            assert [await one.status(signer) for signer in (NEW, OLD)] == [401, 200]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"jwks_url": "http://127.0.0.1:1/jwks.json"}, "https only"),
        ({"jwks_url": "login.example/jwks.json"}, "https only"),
        ({"jwks_url": "https://"}, "https only"),
        ({"jwks_url": "file:///etc/keys.json"}, "https only"),
        ({"jwks_url": "https://me:hunter2@login.example/jwks.json"}, "the URL has no password in it"),
        ({"jwks_url": "https://login.example/jwks.json", "keys": ["env:KEY"]}, "exclude each other"),
    ],
)
async def test_A5_a_url_that_is_not_safe_is_refused_in_the_configuration(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(EvoxError, match=why) as caught:
        async with running(made(), settings={"auth": {"issuer": ISSUER, "audience": AUDIENCE, **settings}}):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("cafile", ["gone.pem", "key.pem", "empty.pem"])
async def test_A5_certificates_that_cannot_be_read_end_the_start(certified: Path, cafile: str) -> None:
    (certified / "empty.pem").touch()
    own = {"jwks_url": "https://127.0.0.1:1/", "jwks_cafile": cafile, "issuer": ISSUER, "audience": AUDIENCE}
    with pytest.raises(UnusableKey, match=cafile):
        async with running(made(), settings={"auth": own}, root=certified):
            pass
