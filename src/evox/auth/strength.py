"""Strength: which secrets are no secrets: those of tutorials, those that say so, and those that a pattern makes.

How long one must be is checked where keys are made. This can only catch what people write by hand; a random secret
passes always.
"""

import itertools
import re
from typing import Final

__all__ = ["DEVELOPMENT", "known_secret"]

DEVELOPMENT: Final = "evox-development-only-"  # what the secret of a generated key begins with
_PUBLISHED: Final = frozenset(
    {
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
        "a-string-secret-at-least-256-bits-long",  # jwt.io
        "a-string-secret-at-least-512-bits-long-as-it-is-used-with-hs512",
        "404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970",  # a Spring Boot tutorial
    }
)
_WORDS: Final = re.compile(
    r"(?:a|an|and|app|are|at|auth|be|bit|bits|bytes?|change|changeme|character|characters|default|demo|dev|development"
    r"|do|dont|example|fastapi|flask|for|foo|bar|baz|hello|here|hmac|hs|insecure|in|is|it|its|jwt|key|least|local|long"
    r"|longer|make|me|my|not|of|only|or|pass|password|phrase|placeholder|please|prod|production|qwerty|random|replace"
    r"|safe|sample|secret|secretkey|secure|shared|sign|signing|some|string|strong|super|supersecret|sure|test|testing"
    r"|that|the|this|to|todo|token|use|used|using|value|very|with|world|you|your)+",
)
_FEWEST: Final = 10  # different bytes; 32 random hexadecimal digits have fewer once in a million


def known_secret(secret: bytes) -> str | None:
    """Return why a secret is none, or None if nothing speaks against it."""
    text = secret.decode("utf-8", "replace").strip()
    plain = text.lower()
    if text.startswith(DEVELOPMENT):
        return "it was made for development, where everybody on the machine may read it"
    if plain in _PUBLISHED or plain.startswith("django-insecure-"):
        return "it stands in a tutorial, so everybody knows it"
    letters = re.sub(r"[^a-z]", "", plain)
    if letters and _WORDS.fullmatch(letters) and len(letters) * 2 >= len(plain):
        return "it is made of words that everybody would try first"
    if len(set(secret)) < _FEWEST:
        return f"it has only {len(set(secret))} different bytes"
    if _repeats(secret) or _counts(secret):
        return "it is a pattern, and not random"
    return None


def _repeats(secret: bytes) -> bool:
    """Whether it is one piece over and over: it then lies in itself, doubled, before its end."""
    return (secret + secret).find(secret, 1) < len(secret)


def _counts(secret: bytes) -> bool:
    """Whether most bytes are the next or the last one after the byte before them: ``abcdef``, ``987654``."""
    steps = [b - a for a, b in itertools.pairwise(secret)]
    return sum(step in (1, -1) for step in steps) * 4 >= len(steps) * 3
