"""Strength: which secrets are no secrets: those of tutorials, those that say so, and those that a pattern makes.

How long one must be is checked where keys are made. This can only catch what people write by hand; a random secret
passes always.
"""

import base64
import itertools
import re
from collections import Counter
from typing import Final

__all__ = ["DEVELOPMENT", "known_secret", "public_in"]

DEVELOPMENT: Final = "evox-development-only-"  # what the secret of a generated key begins with
_PUBLISHED: Final = frozenset(
    {
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
        "a-string-secret-at-least-256-bits-long",  # jwt.io
        "a-string-secret-at-least-512-bits-long-as-it-is-used-with-hs512",
        # tutorials of Spring Boot, and of what was made from them
        "404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970",
        "5367566b59703373367639792f423f4528482b4d6251655468576d5a71347437",
        "3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b",
        "9a4f2c8d3b7a1e6f45c8a0b3f267d8b1d4e6f3c8a9d2b5f8e3a9c8b5f6v8a3d9",
        # Directus, in docker-compose.yml
        "255d861b-5ea1-5996-9aa3-922530ec40b1",
        "6116487b-cda1-52c2-b5b5-c8022c45e263",
        # RFC 7515 and RFC 7520, as they stand there and in lower case
        "aym1sysppbydfgzld3umj1qzkobwvmkoqq-estjqlr_t-1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9caow",
        "hjtxiz2usn5kbqfbttntwbpdmhkv8fjg-onbc6mxccyg",
    }
)
_ENCODED: Final = base64.b64encode(DEVELOPMENT.encode())[:-4].decode()  # however what follows is encoded
_PUBLIC: Final = tuple(  # how keys that are no secrets begin, in DER
    bytes.fromhex(one)
    for one in (
        "300d06092a864886f70d0101010500",  # RSA
        "301306072a8648ce3d020106082a8648ce3d030107",  # P-256
        "301006072a8648ce3d020106052b81040022",  # P-384
        "301006072a8648ce3d020106052b81040023",  # P-521
        "300506032b6570032100",  # Ed25519
    )
)
_WORDS: Final = re.compile(
    r"(?:a|an|and|app|are|at|auth|be|bit|bits|bytes?|change|changeme|character|characters|default|demo|dev|development"
    r"|do|dont|example|fastapi|flask|for|foo|bar|baz|hello|here|hmac|hs|insecure|in|is|it|its|jwt|key|least|local|long"
    r"|longer|make|me|my|not|of|only|or|pass|password|phrase|placeholder|please|prod|production|qwerty|random|replace"
    r"|safe|sample|secret|secretkey|secure|shared|sign|signing|some|string|strong|super|supersecret|sure|test|testing"
    r"|that|the|this|to|todo|token|use|used|using|value|very|with|world|you|your)+",
)
_TELLING: Final = re.compile(
    r"admin|amet|application|asdfghjkl|authentication|authorization|auth|backend|base|battery|before|bits|brown"
    r"|bytes|chang(?:ed?|ing)|characters?|complex|config|consectetur|correct|default|deploy|dev(?:elopment)?"
    r"|docker|dolor|environment|ever|example|express|fallback|generated?|hello|here|hmac|horse|iloveyou|insecure"
    r"|ipsum|jumps|lazy|least|letmein|localhost|local|long|lorem|minimum|modified|must|only|openssl|over"
    r"|passw(?:or)?d|passphrase|phrase|placeholder|please|private|production|project|quick|qwerty(?:uiop)?|random"
    r"|rand|real|release|replace|safe|sample|secret|secure|security|server|service|session|shared|should"
    r"|sign(?:ature|ing)?|some|staple|string|strong|super|temp(?:orary)?|test(?:ing)?|that|this|token|value|very"
    r"|whatever|with|world|your|zxcvbnm"
)
_DOCUMENT: Final = re.compile(rb"(?i)https?://|<(?:!doctype|html|\?xml|rsakeyvalue)")
_RSA: Final = re.compile(rb"0\x82..\x02\x82..\x00", re.DOTALL)  # PKCS#1
_URL: Final = bytes.maketrans(b"-_", b"+/")
_SPOKEN: Final = str.maketrans("013457@$", "oieastas")  # s3cr3t
_FEWEST: Final = 7  # different bytes; 32 random hexadecimal digits, or 40 decimal ones, practically never have fewer


def known_secret(secret: bytes) -> str | None:
    """Return why a secret is none, or None if nothing speaks against it."""
    text = secret.decode("utf-8", "replace").strip()
    plain = text.lower()
    if DEVELOPMENT in text or _ENCODED in text or DEVELOPMENT.encode().hex() in plain:
        return "it was made for development, where everybody on the machine may read it"
    if plain in _PUBLISHED or _base64url(secret) in _PUBLISHED or plain.startswith("django-insecure-"):
        return "it stands in a tutorial, so everybody knows it"
    letters = re.sub(r"[^a-z]", "", plain)
    if (letters and _WORDS.fullmatch(letters) and len(letters) * 2 >= len(plain)) or _told(plain) * 5 >= len(plain) * 2:
        return "it is made of words that everybody would try first"
    if len(set(secret)) < _FEWEST:
        return f"it has only {len(set(secret))} different bytes"
    if _repeats(secret) or _counts(secret) or Counter(secret).most_common(1)[0][1] * 2 > len(secret):
        return "it is a pattern, and not random"
    return None


def public_in(secret: bytes) -> str | None:
    """Return which public thing a secret is, or None: with one of those everybody could sign."""
    text = secret.strip().removeprefix(b"\xef\xbb\xbf")
    if b"-----BEGIN" in text:
        return "PEM"
    if re.match(rb"(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d+) ", text):
        return "a public key of SSH"
    if re.match(rb"[\[{].*[\"']kty[\"']", text, re.DOTALL):
        return "a JWK"
    bare = _decoded(text)
    if b"-----BEGIN" in bare:
        return "PEM, encoded"
    is_key = any(
        one.startswith(b"0") and (_RSA.match(one) or any(map(one.__contains__, _PUBLIC))) for one in (secret, bare)
    )
    if is_key:
        return "a key or a certificate without the lines around it"
    return "a document or an address" if _DOCUMENT.match(text) else None


def _decoded(text: bytes) -> bytes:
    """Return what a text is in base64, or nothing."""
    try:
        return base64.b64decode(b"".join(text.translate(_URL).split()) + b"==")
    except ValueError:
        return b""


def _base64url(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode().lower()


def _told(plain: str) -> int:
    """Return how many letters belong to words that tell of what is no secret."""
    letters = re.sub(r"[^a-z]", "", plain.translate(_SPOKEN))
    return sum(map(len, _TELLING.findall(letters)))


def _repeats(secret: bytes) -> bool:
    """Whether it is one piece over and over: a third of it at least is then what it began with."""
    return any(secret.startswith(secret[begin:]) for begin in range(1, len(secret) * 2 // 3 + 1))


def _counts(secret: bytes) -> bool:
    """Whether most bytes are the one before them, its next or its last: ``abcdef``, ``987654``, ``11112222``."""
    steps = [b - a for a, b in itertools.pairwise(secret)]
    return sum(step in (1, 0, -1) for step in steps) * 4 >= len(steps) * 3
