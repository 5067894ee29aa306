"""Files and limits of serving that cannot be right: exit 78, the option named, one screen, nothing started."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from tests.forked import ended
from tests.support import write_files

from evox.config import load
from evox.errors import InvalidOption

ONE_SCREEN = 25
SVC = """
    from evox import service

    svc = service("shop").port(0)


    @svc.on_startup
    async def begin() -> None:
        open("begun", "w").close()
"""
TLS = {"EVOX_SERVING__CERTFILE": "cert.pem", "EVOX_SERVING__KEYFILE": "key.pem"}


def issue(folder: Path, name: str = "") -> None:
    """Write ``cert.pem`` and ``key.pem``, or with a name ``<name>-cert.pem`` and ``<name>-key.pem``."""
    made = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    prefix = f"{name}-" if name else ""
    made.cert_chain_pems[0].write_to_path(folder / f"{prefix}cert.pem")
    made.private_key_pem.write_to_path(folder / f"{prefix}key.pem")


def no_certfile(folder: Path) -> None:
    (folder / "cert.pem").unlink()


def folder_for_certfile(folder: Path) -> None:
    no_certfile(folder)
    (folder / "cert.pem").mkdir()


def no_keyfile(folder: Path) -> None:
    (folder / "key.pem").unlink()


def certfile_of_words(folder: Path) -> None:
    (folder / "cert.pem").write_text("no certificate\n")


def certfile_of_bytes(folder: Path) -> None:
    (folder / "cert.pem").write_bytes(bytes(range(256)))


def certfile_that_is_empty(folder: Path) -> None:
    (folder / "cert.pem").write_bytes(b"")


def certfile_cut_short(folder: Path) -> None:
    (folder / "cert.pem").write_bytes((folder / "cert.pem").read_bytes()[:200])


def certfile_that_is_a_key(folder: Path) -> None:
    (folder / "cert.pem").write_bytes((folder / "key.pem").read_bytes())


def keyfile_of_words(folder: Path) -> None:
    (folder / "key.pem").write_text("no key\n")


def keyfile_that_is_a_certificate(folder: Path) -> None:
    (folder / "key.pem").write_bytes((folder / "cert.pem").read_bytes())


def key_of_another(folder: Path) -> None:
    issue(folder, "other")
    (folder / "other-key.pem").replace(folder / "key.pem")


def key_of_another_kind(folder: Path) -> None:
    made = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    made.private_key_pem.write_to_path(folder / "key.pem")


def key_too_short(folder: Path) -> None:
    """Write a certificate whose RSA key has 1,024 bits."""
    key = rsa.generate_private_key(65_537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "short")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    (folder / "cert.pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def key_with_a_passphrase(folder: Path) -> None:
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (folder / "key.pem").write_bytes(sealed)


FILES: list[tuple[Callable[[Path], None], str, str]] = [
    (no_certfile, "certfile", "No such file or directory"),
    (folder_for_certfile, "certfile", "Is a directory"),
    (no_keyfile, "keyfile", "No such file or directory"),
    (certfile_of_words, "certfile", "no certificate in PEM"),
    (certfile_of_bytes, "certfile", "no certificate in PEM"),
    (certfile_that_is_empty, "certfile", "no certificate in PEM"),
    (certfile_cut_short, "certfile", "no certificate in PEM"),
    (certfile_that_is_a_key, "certfile", "no certificate in PEM"),
    (keyfile_of_words, "keyfile", "no private key in PEM"),
    (keyfile_that_is_a_certificate, "keyfile", "no private key in PEM"),
    (key_of_another, "keyfile", "not the key of the certificate"),
    (key_of_another_kind, "keyfile", "not the key of the certificate"),
    (key_too_short, "certfile", "too weak: EE_KEY_TOO_SMALL"),
    (key_with_a_passphrase, "keyfile", "passphrase"),
]


Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Return what runs the service with a wrong option, holds its end to what all have in common, and tells of it."""

    def run(*arguments: str, says: Iterable[str], env: Mapping[str, str] | None = None, toml: str = "") -> str:
        write_files(tmp_path, {"shop.py": SVC, **({"evox.toml": toml} if toml else {})})
        done = ended("run", *arguments, cwd=tmp_path, env=env)
        assert (done.returncode, done.stdout) == (78, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) <= ONE_SCREEN
        assert [text for text in says if text not in done.stderr] == []
        assert not (tmp_path / "begun").exists()
        return done.stderr

    return run


@pytest.mark.parametrize(("spoil", "option", "why"), FILES, ids=lambda one: getattr(one, "__name__", ""))
def test_V7_a_file_that_cannot_be_used_ends_the_start_with_78_and_is_named(
    spoil: Callable[[Path], None], option: str, why: str, tmp_path: Path, refused: Refused
) -> None:
    issue(tmp_path)
    spoil(tmp_path)
    refused(says=(f"serving.{option}", why, f"{option[:-4]}.pem", "the environment"), env=TLS)


def test_V7_a_key_that_nobody_asked_for_a_password_of_is_never_asked_for_on_the_terminal(
    tmp_path: Path, refused: Refused
) -> None:
    issue(tmp_path)
    key_with_a_passphrase(tmp_path)
    says = ("serving.keyfile", "passphrase", "the command line")
    assert "Enter PEM" not in refused("--certfile", "cert.pem", "--keyfile", "key.pem", says=says)


def test_V7_a_certfile_without_its_key_is_named(tmp_path: Path, refused: Refused) -> None:
    issue(tmp_path)
    refused("--certfile", "cert.pem", says=("serving.certfile", "no private key", "cert.pem"))


def test_V7_a_keyfile_without_a_certfile_is_named(tmp_path: Path, refused: Refused) -> None:
    issue(tmp_path)
    refused("--keyfile", "key.pem", says=("serving.keyfile", "serving.certfile"))


def test_V7_a_file_named_in_evox_toml_is_looked_for_beside_it_and_the_file_is_named(refused: Refused) -> None:
    refused(toml='[serving]\ncertfile = "tls/cert.pem"\n', says=("serving.certfile", "tls/cert.pem", "evox.toml"))


OPTIONS = {
    "drain_delay": ["-1", "soon", "nan", "inf"],
    "drain_timeout": ["-1s"],
    "stream_grace": ["-0.1"],
    "keep_alive": ["-75"],
    "backlog": ["0", "-1", "1.5"],
    "connections": ["0", "-1", "many"],
    "header_bytes": ["0", "-1", "abc", ""],
    "header_count": ["0", "-5"],
    "header_timeout": ["0", "-10", "nan"],
    "body_bytes": ["0", "-1", "abc", "10 apples"],
    "body_timeout": ["0", "-20s"],
    "body_rate": ["0", "-500", "abc"],
    "write_timeout": ["0", "-30"],
    "websocket_bytes": ["0", "abc"],
    "ping": ["0", "-1", "sometimes"],
    "streams": ["0", "-1", "all"],
    "h2c": ["maybe"],
    "certfile": [""],
    "keyfile": [""],
    "forwarded_from": ["not-an-address", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1, proxy", "::1::", "300.1.1.1"],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_V4_an_option_out_of_range_ends_the_start_with_78_and_is_named(option: str, refused: Refused) -> None:
    env = {f"EVOX_SERVING__{option.upper()}": OPTIONS[option][0]}
    refused(says=("EVX-102", f"serving.{option}", "the environment"), env=env)


@pytest.mark.parametrize(("option", "value"), [(name, value) for name, values in OPTIONS.items() for value in values])
def test_V4_a_value_out_of_range_is_an_error_of_78_that_names_its_option(
    option: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidOption, match=f"serving.{option}") as caught:
        load(tmp_path, environ={f"EVOX_SERVING__{option.upper()}": value})
    assert caught.value.exit_code == 78


def test_V8_a_list_of_proxies_in_a_file_that_does_not_parse_is_named_with_its_line(refused: Refused) -> None:
    toml = '[serving]\nh2c = false\nforwarded_from = ["10.0.0.0/8", "proxy.internal"]\n'
    refused(toml=toml, says=("serving.forwarded_from", "evox.toml:3", "proxy.internal"))
