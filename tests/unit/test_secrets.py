"""Secrets: what is taken out of a text before it is shown, and what is left as it was."""

import time

import pytest

from evox.errors.secrets import masked, masked_line

TEXTS = [
    ("no answer of mongo://me:pw@host/db", "no answer of mongo://***@host/db"),
    ("postgresql+asyncpg://me:p@w@host/db", "postgresql+asyncpg://***@host/db"),
    ("'mongo://me:p w@host' is none", "'mongo://***@host' is none"),
    ("f('mongo://me:it's@host')", "f('mongo://***@host')"),
    ("https://token@host/x", "https://***@host/x"),
    ("mysql:me:pw@host", "mysql:me:***@host"),
    ("/srv/https:/me:pw@host/c.pem", "/srv/https:/me:***@host/c.pem"),
    ("sqlite:///a?password=pw&user=me", "sqlite:///a?password=***&user=me"),
    ("a://u:pw@h and b://u:pw@h", "a://***@h and b://***@h"),
]
LEFT = [
    "postgresql://me:***@host/db refuses us",
    "valkey://***@host:6379/0",
    "see http://host/path and write to me@host",
    "http://127.0.0.1:8000/x is @svc.get('/x')",
    'key = "id"',
    "12:30:45 me@host",
    "",
]
LINES = [
    ('backend = "mongo://me:p w@host"', 'backend = "mongo://***@host"'),
    ('services = { a = "x://me:p@w@h/a", b = "y://:pw@h" }', 'services = { a = "x://***@h" }'),
    ("listens at http://[::1]:8000/x and http://h:80", "listens at http://[::1]:8000/x and http://h:80"),
    ('backend = "valkey://:pw"', 'backend = "valkey://:***"'),
    ('backend = "valkey://pw:6379/0"', 'backend = "valkey://pw:6379/0"'),
    ('backend = "postgresql://h/x?pasword=pw&a=b"', 'backend = "postgresql://h/x?pasword=***&a=***"'),
    ('password = "pw"', "password = ***"),
    ('billing = { api_key = "pw", url = "x" }', 'billing = { api_key = ***, url = "x" }'),
    ("connect(password='pw', retry=1)", "connect(password=***, retry=1)"),
    ('key = "pw"', "key = ***"),
    ("key = 'pw'  # mine", "key = ***"),
    ("  internal_keys = [", "  internal_keys = ***"),
    ('keys = ["pw", 5]', "keys = ***"),
    ('auth."keys" = { a = "pw" }', 'auth."keys" = ***'),
    ('auth = { issuer = "me", key = "pw" }', 'auth = { issuer = "me", key = ***'),
    ("keys = Zx8k2LqPw5vN9rT3yB7mJ4hG6f", "keys = ***"),
    ('keyfile = "certs/key.pem"', 'keyfile = "certs/key.pem"'),
    ("    keys = self._read(sources)", "    keys = self._read(sources)"),
    ('@Intent(ttl=5, key="id")', '@Intent(ttl=5, key="id")'),
    ('@svc.get("/", cache="soon")', '@svc.get("/", cache="soon")'),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_what_a_url_hides_is_taken_out_of_a_text(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize("text", LEFT)
def test_a_text_without_secrets_is_left_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(("line", "shown"), LINES)
def test_a_line_is_shown_without_urls_secrets_and_options_named_like_one(line: str, shown: str) -> None:
    assert masked_line(line) == shown


@pytest.mark.parametrize(
    "part", ["x://", "'x://", "a:b:", "?key", "password=", "@", "x://@ ", "key", "a={key ", "keys=", " "]
)
def test_a_long_text_is_looked_through_in_little_time(part: str) -> None:
    text = part * (100_000 // len(part))
    began = time.process_time()
    masked_line("@" + text)
    masked_line(text)
    assert time.process_time() - began < 5
