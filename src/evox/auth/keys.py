"""Keys: one key, for one algorithm.

A key is made from a JWK, from PEM, or from a secret text, and is checked when it is made: that it parses, is long
enough, lies on the curve of its algorithm and may be used for signatures. What it is made of is never shown.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final, NoReturn, Self

import jwt

from evox.auth.strength import DEVELOPMENT, known_secret, public_in
from evox.errors import UnusableKey

__all__ = ["ALGORITHMS", "Key"]

ALGORITHMS: Final[Mapping[str, tuple[str, str]]] = {
    "HS256": ("oct", ""),
    "HS384": ("oct", ""),
    "HS512": ("oct", ""),
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_DEFAULT: Final = {"oct": "HS256", "RSA": "RS256"}
_SHORTEST: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_RSA_BITS: Final = (2048, 16_384)
_MEMBERS: Final = {"oct": ("k",), "RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi")
_KID: Final = re.compile(r"[\x21-\x7e]{1,256}")


class Key:
    """One key. Made by ``from_jwk``, ``from_pem``, ``from_secret`` or ``generate``.

    Attributes:
        kid: Its name; None for one that has none, which then has to be the only one of its set.
        algorithm: The one algorithm that it is for.
        kind: ``"oct"``, ``"RSA"``, ``"EC"`` or ``"OKP"``.
        can_sign: Whether it is a secret or a private key.
    """

    __slots__ = ("_engine", "_public", "_signing", "algorithm", "can_sign", "kid", "kind")

    def __init__(self, kid: str | None, algorithm: str, material: Any, *, source: str) -> None:
        if kid is not None and not (isinstance(kid, str) and _KID.fullmatch(kid)):
            raise UnusableKey(source, "its kid is no text of 1 to 256 visible characters")
        if algorithm not in ALGORITHMS:
            why = f"{str(algorithm)[:64]!r} is no algorithm for signatures that is accepted"
            raise UnusableKey(source, why, fix=f"use one of: {', '.join(ALGORITHMS)}")
        self.kid = kid
        self.algorithm = algorithm
        self.kind = ALGORITHMS[algorithm][0]
        self._engine = jwt.get_algorithm_by_name(algorithm)
        self.can_sign = isinstance(material, bytes) or hasattr(material, "private_numbers") or hasattr(material, "sign")
        self._signing = material if self.can_sign else None
        self._public = material if isinstance(material, bytes) or not self.can_sign else material.public_key()
        self._check(source)

    def __repr__(self) -> str:
        return f"<Key {self.kid!r} {self.algorithm}{' signs' if self.can_sign else ''}>"

    def __copy__(self) -> Self:
        return self  # it never changes

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled: what it is made of would be in there")

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], *, source: str = "a JWK", kid: str | None = None) -> Self:
        """Make a key from a JWK (RFC 7517).

        Args:
            jwk: Its members. ``alg`` says what it is for; without it RSA is for RS256, a secret for HS256.
            source: Where it comes from, for errors.
            kid: A name for one that has none.

        Raises:
            UnusableKey: if it does not parse, is too weak, or is not for verifying signatures.
        """
        if not isinstance(jwk, Mapping):
            raise UnusableKey(source, "it is no JWK: a JSON object with a member kty")
        kind = jwk.get("kty")
        if not isinstance(kind, str) or kind not in _MEMBERS:
            raise UnusableKey(source, f"its kty is {str(kind)[:64]!r}, and may be oct, RSA, EC or OKP")
        _check_use(jwk, source)
        algorithm = jwk["alg"] if "alg" in jwk else _algorithm_of(jwk, source)
        curve = jwk.get("crv", "")
        known = isinstance(algorithm, str) and algorithm in ALGORITHMS
        if not known or (kind, curve) != _shape(algorithm):
            why = f"its alg is {str(algorithm)[:64]!r}, which is none for signatures with {kind} {str(curve)[:64]}"
            raise UnusableKey(source, why.rstrip())
        for member in (*_MEMBERS[kind], *(one for one in _PRIVATE if kind != "oct" and one in jwk)):
            _base64url(jwk.get(member), member, source)
        try:
            material = jwt.get_algorithm_by_name(algorithm).from_jwk(dict(jwk))
        except Exception as error:  # noqa: BLE001  as for PEM
            raise UnusableKey(source, f"it does not parse: {type(error).__name__}") from None
        return cls(jwk.get("kid", kid) if jwk.get("kid") is not None else kid, algorithm, material, source=source)

    @classmethod
    def from_pem(
        cls, pem: str | bytes, *, kid: str | None = None, algorithm: str | None = None, source: str = "a PEM file"
    ) -> Self:
        """Make a key from PEM: a public key, a private one without a password, or a certificate's.

        Args:
            pem: The text.
            kid: Its name.
            algorithm: What it is for; RS256 for RSA when left out, else what its curve is for.
            source: Where it comes from, for errors.

        Raises:
            UnusableKey: as for ``from_jwk``.
        """
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  only who has PEM pays for it
        from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

        material: Any
        try:
            data = pem.encode() if isinstance(pem, str) else pem
            if b"PRIVATE KEY" in data:
                material = serialization.load_pem_private_key(data, password=None)
            elif b"BEGIN CERTIFICATE" in data:
                material = load_pem_x509_certificate(data).public_key()
            else:
                material = serialization.load_pem_public_key(data)
        except Exception:  # noqa: BLE001  parsers raise whatever they like, and what they say may hold what they read
            raise UnusableKey(source, "it does not parse, or is locked with a password") from None
        return cls(kid, algorithm or _algorithm_of_material(material, source), material, source=source)

    @classmethod
    def from_secret(
        cls, secret: str | bytes, *, kid: str | None = None, algorithm: str = "HS256", source: str = "a secret"
    ) -> Self:
        """Make a key from a secret that both sides know, as it is: its UTF-8 bytes.

        Raises:
            UnusableKey: if it is under 32 bytes (HS384: 48, HS512: 64), or one that everybody knows.
        """
        try:
            data = secret.encode() if isinstance(secret, str) else secret
        except UnicodeEncodeError:
            raise UnusableKey(source, "it has bytes that are no UTF-8") from None
        key = cls(kid, algorithm, data, source=source)
        key.check_known(source)
        return key

    @classmethod
    def generate(cls, algorithm: str = "HS256", *, kid: str | None = None) -> Self:
        """Make a new key: a secret, or a private key.

        Raises:
            UnusableKey: if there is no such algorithm.
        """
        kind, curve = ALGORITHMS.get(algorithm, ("", ""))
        material: Any = secrets.token_bytes(_SHORTEST.get(algorithm, 32))
        if kind not in ("oct", ""):
            from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415  slow to import

            curves: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
            if kind == "RSA":
                material = rsa.generate_private_key(65_537, 2048)
            else:
                ed = ed25519.Ed25519PrivateKey
                material = ed.generate() if kind == "OKP" else ec.generate_private_key(curves[curve]())
        return cls(kid, algorithm, material, source="a new key")

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's over some bytes."""
        return bool(self._engine.verify(signed, self._public, signature))

    def sign(self, data: bytes) -> bytes:
        """Return the signature over some bytes.

        Raises:
            ValueError: if it is a public key.
        """
        if self._signing is None:
            raise ValueError(f"{self!r} is a public key")
        signature: bytes = self._engine.sign(data, self._signing)
        return signature

    def public_jwk(self) -> dict[str, Any]:
        """Return it as a JWK that may be published.

        Raises:
            ValueError: if it is a secret, which has no public part.
        """
        if self.kind == "oct":
            raise ValueError(f"{self!r} is a secret: nothing of it may be published")
        named = {} if self.kid is None else {"kid": self.kid}
        return {**self._members(self._public), **named, "alg": self.algorithm, "use": "sig"}

    def secret_jwk(self) -> dict[str, Any]:
        """Return it as a JWK with all that is secret about it."""
        if self._signing is None:
            raise ValueError(f"{self!r} is a public key")
        named = {} if self.kid is None else {"kid": self.kid}
        return {**self._members(self._signing), **named, "alg": self.algorithm}

    @property
    def is_for_development(self) -> bool:
        """Whether it was made by ``evox run --dev``."""
        return isinstance(self._public, bytes) and self._public.startswith(DEVELOPMENT.encode())

    def check_known(self, source: str) -> None:
        """Refuse a secret that is on everybody's list.

        Raises:
            UnusableKey: if it is.
        """
        why = known_secret(self._public) if isinstance(self._public, bytes) else None
        if why is not None:
            fix = "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            raise UnusableKey(source, why, fix=fix)

    def _members(self, material: Any) -> dict[str, Any]:
        members: dict[str, Any] = self._engine.to_jwk(material, as_dict=True)
        members.pop("key_ops", None)  # of RSA alone, and at odds with `use` (RFC 7517, section 4.3)
        return members

    def _check(self, source: str) -> None:
        if isinstance(self._public, bytes) != (self.kind == "oct"):
            raise UnusableKey(source, f"{self.algorithm} is for keys of kind {self.kind}, and this is none")
        if isinstance(self._public, bytes):
            least = _SHORTEST[self.algorithm]
            if len(self._public) < least:
                why = f"it has {len(self._public)} bytes, and {self.algorithm} wants {least} at least (RFC 7518)"
                raise UnusableKey(source, why)
            public = public_in(self._public)
            if public is not None:
                raise UnusableKey(source, f"it is {public}, and no secret")
            return
        kind, shape = _shape_of_material(self._public)
        if (kind, shape) != _shape(self.algorithm):
            why = f"{self.algorithm} is for {' '.join(_shape(self.algorithm)).strip()}, and this is {kind} {shape}"
            raise UnusableKey(source, why.rstrip())
        if kind == "RSA" and not _RSA_BITS[0] <= self._public.key_size <= _RSA_BITS[1]:
            why = f"it is RSA of {self._public.key_size} bits, and {_RSA_BITS[0]} to {_RSA_BITS[1]} are accepted"
            raise UnusableKey(source, why)


def _check_use(jwk: Mapping[str, Any], source: str) -> None:
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey(source, f"its use is {str(jwk['use'])[:64]!r}, and not sig")
    operations = jwk.get("key_ops", ["verify"])
    enough = ("verify", "sign") if "d" in jwk else ("verify",)  # the public half of what signs may verify
    if not isinstance(operations, list) or not any(one in operations for one in enough):
        raise UnusableKey(source, "its key_ops do not allow it to verify")


def _shape(algorithm: str) -> tuple[str, str]:
    return ALGORITHMS[algorithm]


def _algorithm_of(jwk: Mapping[str, Any], source: str) -> str:
    kind, curve = jwk["kty"], jwk.get("crv", "")
    found = _DEFAULT.get(kind) or next((name for name, one in ALGORITHMS.items() if one == (kind, curve)), None)
    if found is None:
        raise UnusableKey(source, f"its crv is {str(curve)[:64]!r}, and may be P-256, P-384, P-521 or Ed25519")
    return found


def _algorithm_of_material(material: Any, source: str) -> str:
    kind, curve = _shape_of_material(material.public_key() if hasattr(material, "public_key") else material)
    found = _DEFAULT.get(kind) or next((name for name, one in ALGORITHMS.items() if one == (kind, curve)), None)
    if found is None:
        raise UnusableKey(source, f"it is {kind} {curve}, and may be RSA, EC P-256, P-384, P-521 or Ed25519".rstrip())
    return found


def _shape_of_material(public: Any) -> tuple[str, str]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415  slow to import

    if isinstance(public, rsa.RSAPublicKey):
        return "RSA", ""
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "OKP", "Ed25519"
    if isinstance(public, ec.EllipticCurvePublicKey):
        names = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return "EC", names.get(public.curve.name, public.curve.name)
    return type(public).__name__, ""


def _base64url(value: Any, member: str, source: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", value, re.ASCII) or len(value) % 4 == 1:
        raise UnusableKey(source, f"its member {member} is missing, or no base64url")
    try:
        base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (ValueError, binascii.Error):
        raise UnusableKey(source, f"its member {member} is no base64url") from None
