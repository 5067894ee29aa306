"""Tokens with a header that is not accepted: the algorithm, the key, the type, and members that say where keys are."""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.hostile.forge import (
    GONE,
    OTHER,
    SECRET,
    Ring,
    b64,
    claims_of,
    elliptic,
    hmac_sha256,
    mine,
    number,
    publics,
    text_of,
    token,
)
from tests.hostile.refusals import Pair, bearer

__all__ = ["HEADERS"]

ALG_MISSING = "UnacceptableHeader: its alg is missing or no text"
MEMBER = "UnacceptableHeader: it has the member "
NOT_PARTS = "MalformedToken: it is not three parts of base64url"
TYP = "UnacceptableHeader: its typ is not JWT or at+jwt"
KID = "UnacceptableHeader: its kid is no text"

_stranger = ec.generate_private_key(ec.SECP256R1())
_other_rsa = rsa.generate_private_key(65_537, 2048)
_point = _stranger.public_key().public_numbers()
_JWK = {"kty": "EC", "crv": "P-256", "x": number(_point.x, 32), "y": number(_point.y, 32), "alg": "ES256", "kid": "es"}


def _hs384(data: bytes) -> bytes:
    return hmac.digest(base64.urlsafe_b64decode(SECRET.jwk["k"] + "=="), data, hashlib.sha384)


def _ps256(data: bytes) -> bytes:
    return mine()[0].sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def _foreign(data: bytes) -> bytes:
    return _other_rsa.sign(data, padding.PKCS1v15(), hashes.SHA256())


def changed(
    name: str,
    reason: str,
    bad: Mapping[str, Any],
    twin: Mapping[str, Any] | None = None,
    *,
    ring: Ring = "secret",
) -> Pair:
    """Return a pair of which only members of the header differ; both are signed as they stand."""
    return Pair(name, reason, lambda: bearer(token(header=bad)), lambda: bearer(token(header=twin)), ring=ring)


def none(alg: str) -> Pair:
    """Return a token that says that it is not signed, and is not."""
    return Pair(
        f"alg-{alg}-without-a-signature",
        NOT_PARTS,
        lambda: bearer(token(header={"alg": alg}, rewrite={"third": lambda _: ""})),
        lambda: bearer(token()),
    )


def _public_bytes() -> Iterator[tuple[str, str, bytes]]:
    """Yield what an attacker who has read a JWKS may take for a secret: kid, how it is written, and the bytes."""
    rs, es, _ = mine()
    for kid, key in (("rs", rs.public_key()), ("es", es.public_key())):
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        yield kid, "pem", pem
        yield kid, "pem-without-its-last-newline", pem.rstrip(b"\n")
        yield kid, "pem-with-crlf", pem.replace(b"\n", b"\r\n")
        yield kid, "der", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        yield kid, "openssh", key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        yield kid, "jwk", text_of(dict(publics()[kid].jwk))
    yield "rs", "pkcs1-pem", rs.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    yield "rs", "modulus", number(rs.public_key().public_numbers().n).encode()
    yield "es", "point", es.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def confused(kid: str, form: str, material: bytes) -> Pair:
    """Return a token that is signed with a public key, as if it were a secret."""
    return Pair(
        f"hs256-with-the-public-key-{kid}-as-{form}",
        f"UnacceptableHeader: its algorithm is 'HS256', and the key is for {publics()[kid].algorithm}",
        lambda: bearer(token(publics()[kid], {"alg": "HS256"}, sign=hmac_sha256(material))),
        lambda: bearer(token(publics()[kid])),
        ring="public",
    )


ALGORITHMS = (
    *(none(alg) for alg in ("none", "None", "NONE", "nOnE")),
    changed("alg-none-with-a-signature", "UnacceptableHeader: its algorithm is 'none'", {"alg": "none"}),
    changed("alg-empty", ALG_MISSING, {"alg": ""}),
    changed("alg-missing", ALG_MISSING, {"alg": GONE}),
    changed("alg-null", ALG_MISSING, {"alg": None}),
    changed("alg-number", ALG_MISSING, {"alg": 256}),
    changed("alg-list", ALG_MISSING, {"alg": ["HS256"]}),
    changed("alg-object", ALG_MISSING, {"alg": {"HS256": True}}),
    changed("alg-lower-case", "UnacceptableHeader: its algorithm is 'hs256'", {"alg": "hs256"}),
    changed("alg-trailing-blank", "UnacceptableHeader: its algorithm is 'HS256 '", {"alg": "HS256 "}),
    Pair(
        "hs384-for-a-key-of-hs256",
        "UnacceptableHeader: its algorithm is 'HS384', and the key is for HS256",
        lambda: bearer(token(header={"alg": "HS384"}, sign=_hs384)),
        lambda: bearer(token()),
    ),
    changed("hs512-said-and-hs256-signed", "UnacceptableHeader: its algorithm is 'HS512'", {"alg": "HS512"}),
    Pair(
        "ps256-for-a-key-of-rs256",
        "UnacceptableHeader: its algorithm is 'PS256', and the key is for RS256",
        lambda: bearer(token(publics()["rs"], {"alg": "PS256"}, sign=_ps256)),
        lambda: bearer(token(publics()["rs"])),
        ring="public",
    ),
    Pair(
        "ps256-signed-and-rs256-said",
        "WrongSignature: ",
        lambda: bearer(token(publics()["rs"], sign=_ps256)),
        lambda: bearer(token(publics()["rs"])),
        ring="public",
    ),
    Pair(
        "rs256-for-a-key-of-es256",
        "UnacceptableHeader: its algorithm is 'RS256', and the key is for ES256",
        lambda: bearer(token(publics()["es"], {"alg": "RS256"}, sign=publics()["rs"].sign)),
        lambda: bearer(token(publics()["rs"])),
        ring="public",
    ),
    Pair(
        "rs256-signed-and-es256-said",
        "WrongSignature: ",
        lambda: bearer(token(publics()["es"], sign=publics()["rs"].sign)),
        lambda: bearer(token(publics()["es"])),
        ring="public",
    ),
    Pair(
        "eddsa-for-a-key-of-es256",
        "UnacceptableHeader: its algorithm is 'EdDSA', and the key is for ES256",
        lambda: bearer(token(publics()["es"], {"alg": "EdDSA"}, sign=publics()["ed"].sign)),
        lambda: bearer(token(publics()["ed"])),
        ring="public",
    ),
    *(confused(*one) for one in _public_bytes()),
)


def pointing(name: str, **member: Any) -> Pair:
    """Return a token that brings its own key along, or says where it lies, and is signed with that one."""
    return Pair(
        name,
        MEMBER + repr(next(iter(member))),
        lambda: bearer(token(publics()["es"], member, sign=elliptic(_stranger))),
        lambda: bearer(token(publics()["es"])),
        ring="public",
    )


def _deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush()


MEMBERS = (
    changed("crit-with-a-known-name", MEMBER + "'crit'", {"crit": ["exp"], "exp": 1}),
    changed("crit-with-an-unknown-name", MEMBER + "'crit'", {"crit": ["urn:example:extension"]}),
    changed("crit-empty", MEMBER + "'crit'", {"crit": []}),
    changed("crit-b64", MEMBER + "'crit'", {"crit": ["b64"], "b64": False}),
    changed("b64-true", MEMBER + "'b64'", {"b64": True}),
    changed("b64-false", MEMBER + "'b64'", {"b64": False}),
    Pair(
        "b64-false-with-a-bare-payload",
        NOT_PARTS,
        lambda: bearer(token(header={"b64": False}, rewrite={"second": lambda _: text_of(claims_of()).decode()})),
        lambda: bearer(token()),
    ),
    Pair(
        "zip-with-a-packed-payload",
        MEMBER + "'zip'",
        lambda: bearer(token(header={"zip": "DEF"}, claims=_deflated(text_of(claims_of())))),
        lambda: bearer(token()),
    ),
    changed("zip-with-a-plain-payload", MEMBER + "'zip'", {"zip": "DEF"}),
    pointing("jwk-of-a-stranger", jwk=_JWK),
    pointing("jku-of-a-stranger", jku="https://stranger.example/jwks.json"),
    pointing("x5u-of-a-stranger", x5u="https://stranger.example/chain.pem"),
    pointing("x5c-of-a-stranger", x5c=["MIIB" + "A" * 60]),
    changed("jku-of-the-issuer", MEMBER + "'jku'", {"jku": "https://login.example/jwks.json"}),
    changed("x5t-s256", MEMBER + "'x5t#S256'", {"x5t#S256": b64(b"x" * 32)}, {"x5t": b64(b"x" * 20)}),
    changed("cty-of-a-nested-token", MEMBER + "'cty'", {"cty": "JWT"}),
    changed("enc-of-a-jwe", MEMBER + "'enc'", {"enc": "A256GCM"}),
    changed("claims-copied-into-the-header", MEMBER + "'iss'", {"iss": "https://login.example"}),
    changed("member-alg-in-capitals-beside-alg", MEMBER + "'ALG'", {"ALG": "none"}),
    Pair(
        "nested-token-as-payload",
        "MalformedToken: its payload is no JSON",
        lambda: bearer(token(claims=token().encode())),
        lambda: bearer(token()),
    ),
    Pair(
        "nested-token-with-cty",
        MEMBER + "'cty'",
        lambda: bearer(token(header={"cty": "JWT"}, claims=token().encode())),
        lambda: bearer(token()),
    ),
)

TYPES = (
    changed("typ-JWE", TYP, {"typ": "JWE"}, {"typ": "JWT"}),
    changed("typ-jwt", TYP, {"typ": "jwt"}, {"typ": "JWT"}),
    changed("typ-at+JWT", TYP, {"typ": "at+JWT"}, {"typ": "at+jwt"}),
    changed("typ-AT+JWT", TYP, {"typ": "AT+JWT"}, {"typ": "at+jwt"}),
    changed("typ-application-at+jwt", TYP, {"typ": "application/at+jwt"}, {"typ": "at+jwt"}),
    changed("typ-trailing-blank", TYP, {"typ": "at+jwt "}, {"typ": "at+jwt"}),
    changed("typ-logout+jwt", TYP, {"typ": "logout+jwt"}, {"typ": "at+jwt"}),
    changed("typ-evox-internal+jwt", TYP, {"typ": "evox-internal+jwt"}, {"typ": GONE}),
    changed("typ-empty", TYP, {"typ": ""}, {"typ": GONE}),
    changed("typ-null", TYP, {"typ": None}, {"typ": GONE}),
    changed("typ-number", TYP, {"typ": 1}),
    changed("typ-list", TYP, {"typ": ["JWT"]}),
)

KIDS = (
    changed("kid-missing-with-several-keys", "UnknownKey: it names no key", {"kid": GONE}, ring="secrets"),
    changed("kid-unknown", "UnknownKey: there is no key 'hs-3'", {"kid": "hs-3"}, {"kid": GONE}),
    changed("kid-in-other-case", "UnknownKey: there is no key 'HS'", {"kid": "HS"}),
    changed("kid-with-a-trailing-blank", "UnknownKey: there is no key 'hs '", {"kid": "hs "}),
    changed("kid-with-nul", "UnknownKey: there is no key 'hs\\x00'", {"kid": "hs\0"}),
    changed("kid-empty", KID, {"kid": ""}, {"kid": GONE}),
    changed("kid-null", KID, {"kid": None}, {"kid": GONE}),
    changed("kid-number", KID, {"kid": 0}),
    changed("kid-list", KID, {"kid": ["hs"]}),
    changed("kid-object", KID, {"kid": {"hs": "hs"}}),
    changed("kid-climbs", "UnknownKey: there is no key '../../", {"kid": "../../../../dev/null"}),
    changed("kid-sql", "UnknownKey: there is no key \"x' UNION SELECT", {"kid": "x' UNION SELECT 'secret'; --"}),
    changed("kid-with-lines-for-the-log", "UnknownKey: there is no key 'hs\\n", {"kid": "hs\nWARNING evox.auth: 200"}),
    changed("kid-of-5-kb", "UnknownKey: there is no key 'kkkk", {"kid": "k" * 5_000}),
    changed("kid-of-10-kb", "MalformedToken: it is longer than 8192 bytes", {"kid": "k" * 10_000}),
    Pair(
        "kid-of-the-other-key",
        "WrongSignature: ",
        lambda: bearer(token(SECRET, {"kid": OTHER.kid})),
        lambda: bearer(token(OTHER)),
        ring="secrets",
    ),
    Pair(
        "kid-of-ours-and-key-of-another-issuer",
        "WrongSignature: ",
        lambda: bearer(token(SECRET, sign=OTHER.sign)),
        lambda: bearer(token(SECRET)),
    ),
    Pair(
        "kid-of-ours-and-rsa-key-of-another-issuer",
        "WrongSignature: ",
        lambda: bearer(token(publics()["rs"], sign=_foreign)),
        lambda: bearer(token(publics()["rs"])),
        ring="public",
    ),
)


HEADERS = (*ALGORITHMS, *MEMBERS, *TYPES, *KIDS)
