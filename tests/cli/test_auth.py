"""``evox run`` and ``evox token``: what does not start without good keys, and what is made for development."""

import base64
import json
import secrets
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from tests.forked import ended
from tests.support import Run, write_files

from evox.auth import Key
from evox.auth.strength import DEVELOPMENT

SHOP = """
from evox import service
from evox.core import auth

svc = service("shop").port(0)


@svc.get("/me")
@auth.require_roles("admin")
async def me() -> str:
    return auth.current().subject


@svc.get("/prices")
@auth.public
async def prices() -> str:
    return auth.current().kind
"""
OPEN = SHOP.replace('@auth.require_roles("admin")', "").replace("@auth.public", "")
SECRET = secrets.token_urlsafe(32)
WEAK = "change-me-change-me-change-me-change-me"
MADE = DEVELOPMENT + SECRET
ENCODED = base64.urlsafe_b64encode(MADE.encode()).rstrip(b"=").decode()
DEV_JWK = json.dumps({"kty": "oct", "kid": "development", "alg": "HS256", "k": ENCODED})
ED = Key.generate("EdDSA", kid="ed")
TWICE = json.dumps({"keys": [ED.public_jwk(), ED.public_jwk()]})
FROM_ENV = '[auth]\nkeys = ["env:AUTH_SECRET"]\n'


@dataclass(frozen=True)
class Case:
    """One mistake, and what has to be said of it."""

    name: str
    says: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""
    never: str = SECRET[:31]


CASES = [
    Case("no key", ("EVX-108", "endpoint 'me' asks who calls, and there is no key", "evox run --dev")),
    Case("not set", ("AUTH_SECRET in the environment", "the variable is not set, or empty"), {"evox.toml": FROM_ENV}),
    Case("short", ("AUTH_SECRET", "it has 31 bytes, and HS256 wants 32"), {"evox.toml": FROM_ENV}, SECRET[:31]),
    Case("weak", ("AUTH_SECRET", "words that everybody would try first"), {"evox.toml": FROM_ENV}, WEAK, WEAK),
    Case("copied", ("AUTH_SECRET", "it was made for development"), {"evox.toml": FROM_ENV}, MADE),
    Case("encoded", ("AUTH_SECRET", "it was made for development"), {"evox.toml": FROM_ENV}, ENCODED, ENCODED),
    Case("jwk", ("AUTH_SECRET", "it was made for development"), {"evox.toml": FROM_ENV}, DEV_JWK, ENCODED),
    Case(
        "dev file",
        (".evox/dev-key.json", "it was made for development"),
        {"evox.toml": '[auth]\nkeys = [".evox/dev-key.json"]\n', ".evox/dev-key.json": DEV_JWK},
        never=ENCODED,
    ),
    Case("no file", ("keys.json", "cannot be read"), {"evox.toml": '[auth]\nkeys = ["keys.json"]\n'}),
    Case(
        "twice",
        ("keys.json", "two keys have the kid 'ed'"),
        {"evox.toml": '[auth]\nkeys = ["keys.json"]\n', "keys.json": TWICE},
    ),
    Case(
        "algorithm",
        ("auth.algorithms", "'EdDSA'", "evox.toml:2"),
        {"evox.toml": '[auth]\nalgorithms = ["none"]\nkeys = ["env:AUTH_SECRET"]\n'},
        SECRET,
    ),
    Case(
        "other algorithm",
        ("AUTH_SECRET", "is for none of algorithms = ['ES256']"),
        {"evox.toml": '[auth]\nalgorithms = ["ES256"]\nkeys = ["env:AUTH_SECRET"]\n'},
        SECRET,
    ),
    Case(
        "http",
        ("auth.jwks_url", "keys are fetched by https only", "evox.toml:2"),
        {"evox.toml": '[auth]\njwks_url = "http://login.example/jwks"\nissuer = "a"\naudience = "b"\n'},
    ),
    Case(
        "both",
        ("keys and jwks_url exclude each other",),
        {"evox.toml": FROM_ENV + 'jwks_url = "https://login.example/jwks"\nissuer = "a"\naudience = "b"\n'},
        SECRET,
    ),
    Case("key for file", ("a source in [tool.evox.auth]",), {"evox.toml": f'[auth]\nkeys = ["{SECRET}"]\n'}),
    Case("key for name", ("a variable in the env",), {"evox.toml": f'[auth]\nkeys = ["env:{SECRET}"]\n'}),
    Case("key for key", ("'auth.key'", "write 'keys'", "key = ***"), {"evox.toml": f'[auth]\nkey = "{SECRET}"\n'}),
    Case(
        "unknown option",
        ("unknown option 'auth.jwks_uri'", "write 'jwks_url' instead", "pyproject.toml:5"),
        {"pyproject.toml": '[project]\nname = "x"\n\n[tool.evox.auth]\njwks_uri = "https://login.example/jwks"\n'},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_A4_production_does_not_start_and_says_which_key_and_why(case: Case, tmp_path: Path) -> None:
    env = {"AUTH_SECRET": case.secret} if case.secret else {}
    write_files(tmp_path, {"shop.py": SHOP, **case.files})
    done = ended("run", cwd=tmp_path, env=env)
    assert done.returncode == 78
    shown = done.stdout + done.stderr
    for text in case.says:
        assert text in shown
    assert case.never not in shown
    assert "Traceback" not in shown
    assert not (tmp_path / ".evox" / ".gitignore").exists()


def test_A4_what_asks_nobody_starts_without_a_key(evox_run: Run) -> None:
    process = evox_run({"shop.py": OPEN}, "--json")
    assert process.get("/me").status_code == 200
    assert process.end() == 0
    assert not (process.folder / ".evox").exists()


def token(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``evox token`` to its end."""
    return ended("token", *arguments, cwd=folder, env=env)


def ask(url: str, path: str, bearer: str) -> httpx2.Response:
    with httpx2.Client(base_url=url, timeout=10, trust_env=False) as client:
        return client.get(path, headers={"authorization": f"Bearer {bearer}"})


def test_dev_makes_a_key_and_evox_token_issues_what_its_server_accepts(evox_run: Run, backend: str) -> None:
    process = evox_run({"shop.py": SHOP}, "--dev", "--json", "--backend", backend)
    url = process.url()
    folder = process.folder / ".evox"
    file = folder / "dev-key.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"

    issued = token(process.folder, "--role", "admin", "--sub", "ada")
    assert (issued.returncode, issued.stderr, issued.stdout.count("\n")) == (0, "", 1)
    answer = ask(url, "/me", issued.stdout.strip())
    assert (answer.status_code, answer.json()) == (200, "ada")

    plain = json.loads(token(process.folder, "--json").stdout)
    assert (plain["sub"], plain["roles"]) == ("developer", [])
    assert ask(url, "/me", plain["token"]).status_code == 403
    assert ask(url, "/prices", plain["token"]).json() == "user"
    assert ask(url, "/me", plain["token"][:-4]).status_code == 401
    assert ask(url, "/me", f"{plain['token']}?").status_code == 401

    process.end()
    shown = process.out + process.err
    hidden = json.loads(file.read_text())["k"]
    plainly = base64.urlsafe_b64decode(hidden + "==").decode()
    for secret in (hidden, plainly, issued.stdout.strip(), plain["token"], plain["token"].split(".")[1]):
        assert secret not in shown


def test_A4_a_token_of_development_is_nothing_in_production(evox_run: Run) -> None:
    env = {"AUTH_SECRET": SECRET}
    process = evox_run({"shop.py": SHOP, "evox.toml": FROM_ENV}, "--json", env=env)
    elsewhere = process.folder / "elsewhere"
    write_files(elsewhere, {"evox.toml": ""})
    made, own = (token(folder, "--role", "admin", env=env).stdout.strip() for folder in (elsewhere, process.folder))
    assert (elsewhere / ".evox" / "dev-key.json").exists()
    assert [ask(process.url(), "/me", one).status_code for one in (made, own)] == [401, 200]
    process.end()
    shown = process.out + process.err
    assert not any(one in shown for one in (SECRET, made, own, made.split(".")[2], own.split(".")[2]))


def test_dev_tells_of_the_key_that_it_made_and_how_to_get_a_token(evox_run: Run) -> None:
    process = evox_run({"shop.py": SHOP}, "--dev")
    line = process.wait_line("evox token --role admin --sub ada")
    assert ".evox/dev-key.json" in line
    assert DEVELOPMENT not in process.out + process.err


def test_dev_with_a_key_of_its_own_makes_none(evox_run: Run) -> None:
    env = {"AUTH_SECRET": SECRET}
    process = evox_run({"shop.py": SHOP, "evox.toml": FROM_ENV}, "--dev", "--json", env=env)
    url = process.url()
    issued = token(process.folder, "--role", "admin", "--sub", "ada", env=env)
    assert ask(url, "/me", issued.stdout.strip()).json() == "ada"
    assert not (process.folder / ".evox" / "dev-key.json").exists()
    assert "evox token" not in process.out
    assert SECRET not in process.out + process.err + issued.stdout + issued.stderr


@pytest.mark.parametrize("how", ["option", "environment", "file"])
def test_A4_dev_for_other_machines_does_not_start_with_a_key_that_it_would_make(how: str, evox_run: Run) -> None:
    arguments = ("--host", "0.0.0.0") if how == "option" else ()
    files = {"evox.toml": 'host = "0.0.0.0"\n'} if how == "file" else {}
    env = {"EVOX_HOST": "0.0.0.0"} if how == "environment" else {}
    process = evox_run({"shop.py": SHOP, **files}, "--dev", *arguments, env=env)
    process.wait_error("it is for this machine alone, and 0.0.0.0 is listened on")
    assert "http://" not in process.out
    assert not (process.folder / ".evox" / "dev-key.json").exists()


def test_evox_token_says_that_public_keys_issue_nothing(tmp_path: Path) -> None:
    write_files(tmp_path, {"evox.toml": '[auth]\nkeys = ["keys.json"]\n', "keys.json": json.dumps(ED.public_jwk())})
    for arguments in ((), ("--json",)):
        done = token(tmp_path, *arguments)
        assert done.returncode == 1
        assert "the keys here are public keys" in done.stdout + done.stderr
        assert ED.public_jwk()["x"] not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--ttl", "soon"), 1, "ttl='soon'"),
        (("--ttl", "30d"), 1, "ttl is 2592000 s"),
        (("--sub", ""), 1, "subject '' is no text"),
        (("--role", ""), 1, "role '' is no text"),
        (("--rol", "admin"), 2, "--role"),
    ],
)
def test_evox_token_says_what_it_cannot_issue(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    (tmp_path / "evox.toml").touch()
    done = token(tmp_path, *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""


def test_evox_token_with_a_key_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    write_files(tmp_path, {"evox.toml": FROM_ENV})
    done = token(tmp_path, env={"AUTH_SECRET": WEAK})
    assert (done.returncode, done.stdout) == (78, "")
    assert "words that everybody would try first" in done.stderr
    assert WEAK not in done.stderr
