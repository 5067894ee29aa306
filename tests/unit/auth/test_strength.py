"""A4: which secrets are no secrets, and that no random one is taken for one of those."""

import base64
import random
import string
from collections.abc import Callable
from uuid import UUID

import pytest

from evox.auth import Key
from evox.auth.strength import DEVELOPMENT, known_secret, public_in
from evox.errors import UnusableKey

PUBLISHED = [
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
    "5367566B59703373367639792F423F4528482B4D6251655468576D5A71347437",
    "3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b",
    "9a4f2c8d3b7a1e6f45c8a0b3f267d8b1d4e6f3c8a9d2b5f8e3a9c8b5f6v8a3d9",
    "6116487b-cda1-52c2-b5b5-c8022c45e263",
    "a-string-secret-at-least-256-bits-long",
    "django-insecure-j8op9)1q8$1&0^s&p*_0%d#pr@w9qj@1o=3#@d=a(^",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
]
WORDS = [
    "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
    "YOUR_OWN_RANDOM_GENERATED_SECRET_KEY",
    "REPLACE_ME_WITH_A_RANDOM_32_CHARACTER_STRING",
    "<your-secret-key-at-least-32-characters>",
    "${JWT_SECRET:-changeme-changeme-changeme}",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "your_super_secret_jwt_key_change_this_in_production",
    "this-is-a-very-long-secret-key-for-jwt-authentication",
    "thisisaverysecretkeythatshouldbechangedinproduction",
    "generate-a-strong-secret-with-openssl-rand-base64-32",
    "docker-compose-shared-secret-between-services",
    "sup3r-s3cr3t-k3y-f0r-d3v3l0pm3nt-0nly",
    "P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd!",
    "SuperSecretPassword123!SuperSecretPassword123!",
    "correct-horse-battery-staple-correct-horse",
    "the quick brown fox jumps over the lazy dog",
    "Lorem ipsum dolor sit amet, consectetur",
    "TODO: put a real secret here before release",
    "admin-admin-admin-admin-admin-admin-12",
    "iloveyouiloveyouiloveyouiloveyou1234",
    "qwertyuiopasdfghjklzxcvbnm123456",
]
PATTERNS = [
    "0" * 32,
    "======================BezKoder=Spring===========================",
    "0123456789abcdef0123456789abcdef",
    "deadbeefdeadbeefdeadbeefdeadbeef",
    "hunter2hunter2hunter2hunter2hunter2hunter",
    "1q2w3e4r5t6y7u8i9o0p1q2w3e4r5t6y",
    "98765432109876543210987654321098",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "00112233445566778899aabbccddeeff",
    "11112222333344445555666677778888",
]


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        *((one, "it stands in a tutorial, so everybody knows it") for one in PUBLISHED),
        *((one, "it is made of words that everybody would try first") for one in WORDS),
        *((one, "") for one in PATTERNS),
    ],
)
def test_A4_what_people_copy_or_type_is_no_secret_and_is_not_shown(secret: str, reason: str) -> None:
    with pytest.raises(UnusableKey) as caught:
        Key.from_secret(secret, source="AUTH_SECRET in the environment")
    error = caught.value
    assert error.what == "the key of AUTH_SECRET in the environment cannot be used"
    assert error.why == reason or not reason
    assert "secrets.token_urlsafe" in error.fix
    assert secret not in f"{error} {error!r}"


def test_A4_a_published_secret_is_known_in_other_case_with_spaces_around_it_and_as_bytes() -> None:
    hexadecimal, base64url = PUBLISHED[0], PUBLISHED[-1]
    assert known_secret(f" {hexadecimal.upper()}\n".encode()) is not None
    assert known_secret(base64.urlsafe_b64decode(base64url + "==")) is not None


@pytest.mark.parametrize("behind", ["", "x", "xy", "xyz"])
def test_A4_the_key_for_development_is_known_as_it_is_and_as_its_file_has_it(behind: str) -> None:
    secret = f"{DEVELOPMENT}kU3p0Jq8c5mW{behind}".encode()
    for encode in (bytes, base64.b64encode, base64.urlsafe_b64encode):
        why = known_secret(encode(secret).rstrip(b"="))
        assert why is not None
        assert "development" in why


dice = random.Random(20_26)
ALPHABETS = {
    "django": "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)",
    "letters": string.ascii_lowercase,
    "letters-and-digits": string.ascii_letters + string.digits,
    "digits": string.digits,
}


def drawn(alphabet: str, count: int) -> str:
    return "".join(dice.choices(alphabet, k=count))


RANDOM: dict[str, Callable[[], str | bytes]] = {
    "token_urlsafe(32)": lambda: base64.urlsafe_b64encode(dice.randbytes(32)).rstrip(b"="),
    "token_hex(16)": lambda: dice.randbytes(16).hex(),
    "openssl rand -hex 32": lambda: dice.randbytes(32).hex(),
    "in capitals": lambda: dice.randbytes(32).hex().upper(),
    "openssl rand -base64 32": lambda: base64.b64encode(dice.randbytes(32)),
    "openssl rand -base64 64": lambda: base64.encodebytes(dice.randbytes(64)),
    "base32": lambda: base64.b32encode(dice.randbytes(32)),
    "base85": lambda: base64.b85encode(dice.randbytes(32)),
    "uuid4": lambda: str(UUID(bytes=dice.randbytes(16), version=4)),
    "two uuid4": lambda: "".join(str(UUID(bytes=dice.randbytes(16), version=4)) for _ in range(2)),
    "bytes": lambda: dice.randbytes(32),
    "behind a word": lambda: f"shop_production_secret_{dice.randbytes(16).hex()}",
    **{name: (lambda letters=letters: drawn(letters, 50)) for name, letters in ALPHABETS.items()},  # type: ignore[misc]
}


@pytest.mark.parametrize("kind", RANDOM)
def test_A4_no_random_secret_is_refused(kind: str) -> None:
    for _ in range(500):
        made = RANDOM[kind]()
        secret = made.encode() if isinstance(made, str) else made
        assert (known_secret(secret), public_in(secret)) == (None, None), secret
