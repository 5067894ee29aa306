"""Whatever a password holds, and wherever it stands in a URL, it is never shown."""

import string
import traceback

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from evox.config import hidden, scheme_of, without_secrets

SECRET = "s3cr3t"
AROUND = st.text(alphabet=string.punctuation + string.whitespace + "k1", max_size=6)
WITH_A_USER = [
    "postgresql://u:{}@h:1/x",
    "postgres://u:{}@h1:1,h2:2/x?sslmode=require",
    "postgresql:u:{}@h",
    "postgresql//u:{}@h",
    "valkey://:{}@h",
    "valkeys://u:{}@h/0",
    "mysql:me:{}@host",
]
ALONE = ["redis://{}@h", "valkey:{}@h", "me:{}@host"]
AS_PARAMETER = [
    "postgresql://u@h/x?password={}",
    "postgresql://h/x?application_name=b&sslpassword={}&sslmode=require",
    "postgresql:///x?user=a@b&pasword={}",
    "postgresql://u:12@h/x?pwd={}",
    "valkey://h?password={}",
]


def check(url: str) -> None:
    assert SECRET not in without_secrets(url)
    assert SECRET not in hidden(without_secrets(url), url)
    said = ""
    try:
        scheme_of(url)
    except ValueError as error:
        said = "".join(traceback.format_exception(error))
    assert SECRET not in said


@given(AROUND, AROUND, st.sampled_from(WITH_A_USER))
@example("", "%zz", WITH_A_USER[0])
@example("my ", " b", WITH_A_USER[0])
@example("1?key=", "", WITH_A_USER[0])
def test_a_password_after_a_user(before: str, after: str, url: str) -> None:
    check(url.format(before + SECRET + after))


@given(AROUND, AROUND, st.sampled_from(ALONE))
@example("&", "=", ALONE[0])
def test_a_password_alone(before: str, after: str, url: str) -> None:
    assume(":" not in before + after)  # what is before it would be a user
    check(url.format(before + SECRET + after))


@given(AROUND, AROUND, st.sampled_from(AS_PARAMETER))
@example("@", "", AS_PARAMETER[3])
def test_a_password_as_a_parameter_of_any_name(before: str, after: str, url: str) -> None:
    assume("&" not in before + after)  # what follows it would be the name of another
    check(url.format(before + SECRET + after))


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cr3t/x", "valkey://:s3cr3t/0", "valkey://u:s3cr3t", "redis://:s3/cr3t"]
)
def test_a_password_before_a_host_that_was_forgotten(url: str) -> None:
    check(url)
    with pytest.raises(ValueError, match="host or port"):
        scheme_of(url)


def test_what_a_library_says_of_a_url_is_told_without_its_secrets() -> None:
    url = "postgresql://evox:my%20s3cr3t@host/evox?oauth_client_secret=abc"
    said = 'the user "evox" of evox: no my s3cr3t, my%20s3cr3t or abc'
    assert hidden(said, url) == 'the user "evox" of evox: no ***, *** or ***'
    assert hidden('no role "evox"', "postgresql://evox:evox@host/x") == 'no role "evox"'
