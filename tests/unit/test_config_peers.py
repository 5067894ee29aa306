"""A6: where tokens may go is decided when the configuration is read: https, or this machine."""

from typing import Any

import pytest
from pydantic import ValidationError

from evox.config import PeerSettings, ProxySettings, is_loopback_url, load

PLAIN_AND_ELSEWHERE = [
    "http://10.0.0.1",
    "HTTP://10.0.0.1",
    "Http://users.example",
    " http://10.0.0.1",
    "\thttp://10.0.0.1",
    "\x00http://10.0.0.1",
    "ht\ttp://10.0.0.1",
    "h\nttp://10.0.0.1",
    "http://10.0.0.1 ",
    "http:\t//10.0.0.1",
    "http://localhost.evil.example",
    "http://localhost.",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1.",
    "http://127.1",
    "http://0.0.0.0",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://017700000001",
    "http://[::]",
    "http://[::2]",
    "http://[2001:db8::1]",
    "http://[::ffff:10.0.0.1]",
    "http://169.254.169.254",
    "http://127.0.0.1@evil.example",
    "http://user@127.0.0.1",
    "http://localhost:80@evil.example",
    "http://evil.example\\@127.0.0.1",
    "http://127.0.0.1\\@evil.example",
    "http://127.0.0.1%2f@evil.example",
    "http://127.0.0.1%00.evil.example",
    "http://evil.example#@127.0.0.1",
    "http://evil.example?@127.0.0.1",
    "http://evil.example/@127.0.0.1",
    "http://127.0.0.1,evil.example",
    "http://127。0。0。1.evil.example",
    "http://ⓛocalhost.evil.example",
    "http://localhost\u200b.evil.example",
    "//10.0.0.1",
    "http:10.0.0.1",
    "http:///10.0.0.1",
    "http://",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "ws://127.0.0.1",
    "http+unix://127.0.0.1",
    "javascript:alert(1)",
]
HERE = ["http://127.0.0.1:8001", "http://127.8.9.10", "http://localhost:8001/users", "http://[::1]:8001"]
SECURE = ["https://users.example", "https://10.0.0.1:8443", "https://[2001:db8::1]/users"]


@pytest.mark.parametrize("url", PLAIN_AND_ELSEWHERE)
def test_A6_a_token_goes_over_plain_http_to_this_machine_alone(url: str) -> None:
    """HTTP:// in capitals, and a space before it, were believed to be https."""
    with pytest.raises(ValidationError):
        PeerSettings(url=url)


@pytest.mark.parametrize("url", PLAIN_AND_ELSEWHERE)
def test_A6_the_token_of_a_user_goes_no_other_way(url: str) -> None:
    with pytest.raises(ValidationError):
        PeerSettings(url=url, trust="external", forward_user=True)


@pytest.mark.parametrize("url", HERE + SECURE)
def test_A6_https_and_this_machine_are_taken(url: str) -> None:
    assert PeerSettings(url=url).url == url
    assert PeerSettings(url=url.replace("http", "HTTP", 1)).url == url
    assert PeerSettings(url=url, trust="external", forward_user=True).url == url


@pytest.mark.parametrize("url", ["https://users.example?", "https://users.example#", "https://users.example/#/"])
def test_a_url_below_which_no_path_can_stand_is_refused(url: str) -> None:
    """What was called then stood in a query or in a fragment: each call was one of /."""
    with pytest.raises(ValidationError, match="leave out"):
        PeerSettings(url=url)


@pytest.mark.parametrize(
    "pattern",
    [
        "http://{service}.example",
        "HTTP://{service}.example",
        " http://{service}.example",
        "http://{service}",
        "http://localhost{service}",
        "http://127.0.0.1{service}",
        "http://127.0.0.{service}",
        "http://127.0.0.1@{service}",
        "http://127.0.0.1:80{service}",
        "http://{service}@127.0.0.1",
        "https://{service}@users.example",
        "https://users.example?{service}",
        "https://users.example#{service}",
        "https://users.example",
    ],
)
def test_A6_a_pattern_of_names_leads_no_token_over_plain_http(pattern: str) -> None:
    with pytest.raises(ValidationError):
        ProxySettings(dns=pattern)


@pytest.mark.parametrize("url", ["HTTP://10.0.0.1", "http://10.0.0.1", "http://localhost.evil.example"])
def test_A6_what_the_environment_says_is_held_to_the_same(url: str, tmp_path: Any) -> None:
    for environ in (
        {"EVOX_PEERS__USERS__URL": url},
        {"EVOX_PEERS__USERS": url},
        {"EVOX_PEERS__USERS": f'{{"url": "{url}"}}'},
        {"EVOX_PROXY__DNS": url.replace("http://", "http://{service}.").replace("HTTP://", "HTTP://{service}.")},
    ):
        with pytest.raises(Exception, match="over https only"):
            load(tmp_path, environ=environ)


@pytest.mark.parametrize("host", ["[::ffff:127.0.0.1]", "[::1]", "127.0.0.1", "localhost", "LOCALHOST"])
def test_what_may_be_loopback_is_nothing_else(host: str) -> None:
    """Whether a mapped address is one depends on Python's version; either way it leads nowhere else."""
    assert is_loopback_url(f"http://{host}:80") or host == "[::ffff:127.0.0.1]"
