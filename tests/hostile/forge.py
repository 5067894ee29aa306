"""Forges tokens: every part is written and signed by hand, so that what nobody would issue can be made too."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

__all__ = [
    "AUDIENCE",
    "GONE",
    "INTERNAL",
    "ISSUER",
    "MARK",
    "OTHER",
    "PARTS",
    "SECRET",
    "Part",
    "Rewrite",
    "Ring",
    "Sign",
    "Signer",
    "b64",
    "claims_of",
    "elliptic",
    "hmac_sha256",
    "mine",
    "number",
    "publics",
    "ring_of",
    "same",
    "text_of",
    "token",
]

Ring: TypeAlias = Literal["secret", "secrets", "public"]
Sign: TypeAlias = Callable[[bytes], bytes]
Part: TypeAlias = Literal["first", "second", "third"]
Rewrite: TypeAlias = Callable[[str], str]
PARTS: Final[tuple[Part, ...]] = ("first", "second", "third")
ISSUER: Final = "https://login.example"
AUDIENCE: Final = "vault"
MARK: Final = "only-the-bearer-may-read-this"  # a claim of every token; it must show up nowhere
GONE: Final = object()


@dataclass(frozen=True)
class Signer:
    """One key, as its owner has it.

    Attributes:
        kid: Its name.
        algorithm: What tokens say that it is for.
        sign: Signs.
        jwk: What the verifier is given.
    """

    kid: str
    algorithm: str
    sign: Sign
    jwk: Mapping[str, Any]


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    """Return a number as it stands in a JWK."""
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8))


def hmac_sha256(secret: bytes) -> Sign:
    """Return what signs with any bytes as the secret, whatever they are meant for."""
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


def _secret(kid: str) -> Signer:
    raw = secrets.token_bytes(64)
    return Signer(kid, "HS256", hmac_sha256(raw), {"kty": "oct", "k": b64(raw), "alg": "HS256", "kid": kid})


SECRET: Final = _secret("hs")
OTHER: Final = _secret("hs-2")
INTERNAL: Final = _secret("between-services")


def elliptic(key: ec.EllipticCurvePrivateKey) -> Sign:
    """Return what signs as RFC 7518 wants it: two numbers, one behind the other."""

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


@cache
def mine() -> tuple[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey]:
    """Return the private keys of the public ring; made when first wanted."""
    curve = ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65_537, 2048), curve, ed25519.Ed25519PrivateKey.generate()


@cache
def publics() -> Mapping[str, Signer]:
    """Return three keys whose public halves are known to everybody, by kid: ``rs``, ``es`` and ``ed``."""
    rs, es, ed = mine()
    n, point = rs.public_key().public_numbers(), es.public_key().public_numbers()
    jwks: Mapping[str, dict[str, Any]] = {
        "rs": {"kty": "RSA", "n": number(n.n), "e": number(n.e), "alg": "RS256"},
        "es": {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32), "alg": "ES256"},
        "ed": {"kty": "OKP", "crv": "Ed25519", "x": b64(ed.public_key().public_bytes_raw()), "alg": "EdDSA"},
    }
    signs: Mapping[str, Sign] = {
        "rs": lambda data: rs.sign(data, padding.PKCS1v15(), hashes.SHA256()),
        "es": elliptic(es),
        "ed": ed.sign,
    }
    return {kid: Signer(kid, jwk["alg"], signs[kid], jwk | {"kid": kid}) for kid, jwk in jwks.items()}


def ring_of(ring: Ring) -> str:
    """Return the JWKS that a service is configured with."""
    keys = {"secret": [SECRET], "secrets": [SECRET, OTHER], "public": [*publics().values()] if ring == "public" else []}
    return json.dumps({"keys": [dict(key.jwk) for key in keys[ring]]})


def claims_of(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return good claims with some changed: to a value, to what a function makes of the time, or ``GONE``."""
    now = int(time.time())
    claims: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 900}
    claims |= {"roles": ["admin"], "note": MARK, **(changes or {})}
    made = {name: value(now) if callable(value) else value for name, value in claims.items()}
    return {name: value for name, value in made.items() if value is not GONE}


def text_of(value: Any) -> bytes:
    """Return JSON as tokens have it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def same(part: str) -> str:
    """Return a part of a token as it is."""
    return part


def token(
    key: Signer = SECRET,
    header: Mapping[str, Any] | bytes | None = None,
    claims: Mapping[str, Any] | bytes | None = None,
    *,
    sign: Sign | None = None,
    rewrite: Mapping[Part, Rewrite] | None = None,
) -> str:
    """Return a token. What it says is signed as it is written: whatever was done to its first two parts is covered.

    Args:
        key: Who signs.
        header: Changes to a good header (``GONE`` takes a member away), or other bytes in its place.
        claims: The same for the payload.
        sign: Signs in place of the key.
        rewrite: Rewrites parts after they were put into base64url.
    """
    first, second, third = ((rewrite or {}).get(part, same) for part in PARTS)
    if not isinstance(header, bytes):
        whole = {"alg": key.algorithm, "typ": "JWT", "kid": key.kid} | dict(header or {})
        header = text_of({name: value for name, value in whole.items() if value is not GONE})
    payload = claims if isinstance(claims, bytes) else text_of(claims_of(claims))
    signed = f"{first(b64(header))}.{second(b64(payload))}"
    return f"{signed}.{third(b64((sign or key.sign)(signed.encode())))}"
