"""Peers over TLS: one whose certificate is not believed is sent nothing, and told apart from one that is down."""

import ssl
from pathlib import Path

import pytest
import trustme
from tests.faults.raw_peer import OK, answer, calling, raw_peer
from tests.unit.testing.peers import descriptors, until

from evox.core import proxy
from evox.errors import CallError, CallTimeout, CallUnavailable, ConfigurationError


def context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return what a server needs that has a certificate for these names."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(made)
    return made


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Return an authority whose certificate is at ``ca.pem``."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


async def test_a_peer_with_a_certificate_of_its_cafile_is_called(authority: trustme.CA, tmp_path: Path) -> None:
    known = {"cafile": str(tmp_path / "ca.pem")}
    async with raw_peer(OK, tls=context(authority, "127.0.0.1")) as peer, calling(peer, of=known):
        assert await proxy.users.get_user(1) == 1
        assert await proxy.users.get_user(1) == 1


async def test_what_comes_behind_an_answer_answers_no_other_call_over_tls(
    authority: trustme.CA, tmp_path: Path
) -> None:
    surplus = answer(b"1") + answer(b"666")
    known = {"cafile": str(tmp_path / "ca.pem")}
    async with (
        raw_peer(surplus, answer(b"2"), tls=context(authority, "127.0.0.1")) as peer,
        calling(peer, of=known, proxy={"connections": 1}),
    ):
        assert await proxy.users.get_user(1) == 1
        assert await proxy.users.get_user(2) == 2


@pytest.mark.parametrize("wrong", ["another name", "an authority of its own", "no cafile"])
async def test_a_certificate_that_is_not_believed_is_a_clear_error_and_nothing_is_sent(
    wrong: str, authority: trustme.CA, tmp_path: Path
) -> None:
    issuer = trustme.CA() if wrong == "an authority of its own" else authority
    name = "elsewhere.example" if wrong == "another name" else "127.0.0.1"
    known = {} if wrong == "no cafile" else {"cafile": str(tmp_path / "ca.pem")}
    async with raw_peer(OK, tls=context(issuer, name)) as peer, calling(peer, of=known, proxy={"attempts": 3}):
        with pytest.raises(CallUnavailable, match="its certificate is not believed") as caught:
            await proxy.users.get_user(1)
        assert not peer.heads
        assert not caught.value.may_have_run
        assert caught.value.attempts == 1  # trying again does not make it true


async def test_tls_where_there_is_none_and_none_where_there_is_are_clear_errors(
    authority: trustme.CA, tmp_path: Path
) -> None:
    async with raw_peer(None) as plain:
        plain.scheme = "https"
        async with calling(plain, of={"cafile": str(tmp_path / "ca.pem")}):
            before = descriptors()
            with pytest.raises(CallTimeout):  # it waits for the end of a head that is none
                await proxy.users.get_user(1).with_timeout(0.3)
            await until(lambda: plain.open == 0)
            assert descriptors() == before
    async with raw_peer(OK, tls=context(authority, "127.0.0.1")) as peer:
        peer.scheme = "http"
        async with calling(peer):
            with pytest.raises(CallError):
                await proxy.users.get_user(1)


@pytest.mark.parametrize(
    "text", [None, "", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_a_cafile_that_cannot_be_read_is_a_clear_error(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    async with raw_peer(OK) as peer:
        peer.scheme = "https"
        async with calling(peer, of={"cafile": str(path)}):
            with pytest.raises(ConfigurationError, match=r"ca\.pem"):
                await proxy.users.get_user(1)
