"""Tokens that are not written as a token is: their parts, their base64url, their signature.

What is rewritten in the first two parts is signed as it stands, so that nothing but the writing is wrong.
"""

from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.hostile.forge import PARTS, SECRET, Part, Rewrite, b64, claims_of, hmac_sha256, mine, publics, text_of, token
from tests.hostile.refusals import Pair, bearer

__all__ = ["WRITING"]

NOT_PARTS = "MalformedToken: it is not three parts of base64url"
TAIL = "MalformedToken: it has base64url that ends in the middle of a byte"
NOT_ONE = "MalformedToken: what follows the scheme is not one token"
CHANGED = "WrongSignature: "
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LARGEST = 8_192


def uneven(text: bytes) -> bytes:
    """Return JSON with blanks behind it, so that its base64url ends within a group."""
    return text + b" " * ((1 - len(text)) % 3)


def rewritten(name: str, reason: str, part: Part, rewrite: Rewrite) -> Pair:
    """Return a pair of which one part is written otherwise; its twin has the same bytes in it."""

    def made(how: dict[Part, Rewrite]) -> str:
        header = uneven(text_of({"alg": "HS256", "typ": "JWT", "kid": SECRET.kid}))
        return token(header=header, claims=uneven(text_of(claims_of())), rewrite=how)

    return Pair(f"{name}-{part}-part", reason, lambda: bearer(made({part: rewrite})), lambda: bearer(made({})))


def spoilt(name: str, reason: str, spoil: Rewrite) -> Pair:
    """Return a pair of a token and what became of it after it was signed."""
    return Pair(name, reason, lambda: bearer(spoil(token())), lambda: bearer(token()))


def padded(part: str) -> str:
    """Return base64url with its padding."""
    return part + "=" * (-len(part) % 4)


def other_tail(part: str) -> str:
    """Return base64url of the same bytes, with a bit set behind the last of them."""
    return part[:-1] + LETTERS[LETTERS.index(part[-1]) ^ 1]


def flipped(part: str) -> str:
    """Return base64url of other bytes: one bit is another one."""
    return LETTERS[LETTERS.index(part[0]) ^ 1] + part[1:]


def standard(part: str) -> str:
    """Return base64 as it was before URLs."""
    return part.replace("-", "+").replace("_", "/")


def in_standard_base64(part: Part) -> Pair:
    """Return a token with a part in the other alphabet, in which a letter is another one there."""

    def made(how: dict[Part, Rewrite]) -> str:
        for count in range(1_000):
            header, claims = {"x5t": "?>" * 3 + "~" * (count % 3)}, {"jti": "?>" * 3 + str(count)}
            plain = token(header=header, claims=claims).split(".")[PARTS.index(part)]
            if standard(plain) != plain:
                return token(header=header, claims=claims, rewrite=how)
        raise ValueError(part)

    return Pair(
        f"standard-base64-in-the-{part}-part",
        NOT_PARTS,
        lambda: bearer(made({part: standard})),
        lambda: bearer(made({})),
    )


def sized(size: int) -> str:
    """Return a token of so many characters."""
    for letters in range(5_900, 6_000):
        for more in range(4):
            made = token(header={"x5t": "x" * more}, claims={"long": "y" * letters})
            if len(made) == size:
                return made
    raise ValueError(size)


def flattened(made: str) -> str:
    """Return a token in JSON serialisation, for one signature."""
    header, payload, signature = made.split(".")
    return text_of({"payload": payload, "protected": header, "signature": signature}).decode()


def general(made: str) -> str:
    """Return a token in JSON serialisation, for several signatures."""
    header, payload, signature = made.split(".")
    return text_of({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).decode()


ENCODING = (
    *(rewritten("padding-in-the", NOT_PARTS, part, padded) for part in PARTS),
    *(rewritten("bits-behind-the", TAIL, part, other_tail) for part in PARTS),
    *(rewritten("half-a-byte-in-the", TAIL, part, lambda text: text + "AAA") for part in PARTS[:2]),
    *(rewritten("escaped-padding-in-the", NOT_PARTS, part, lambda text: text + "%3D") for part in PARTS),
    *(rewritten("a-blank-within-the", NOT_ONE, part, lambda text: f"{text[:9]} {text[9:]}") for part in PARTS),
    *(rewritten("a-tab-within-the", NOT_ONE, part, lambda text: f"{text[:9]}\t{text[9:]}") for part in PARTS),
    *(rewritten("a-wide-letter-in-the", NOT_ONE, part, lambda text: text + "\uff41") for part in PARTS),
    *(in_standard_base64(part) for part in PARTS),
    spoilt("wide-points", NOT_ONE, lambda made: made.replace(".", "\uff0e")),
    spoilt("in-quotes", NOT_PARTS, lambda made: f'"{made}"'),
    spoilt("all-of-it-in-base64url", NOT_PARTS, lambda made: b64(made.encode())),
    spoilt("in-capitals", "MalformedToken: ", str.upper),
)

FORM = (
    spoilt("one-part", NOT_PARTS, lambda made: made.split(".")[0]),
    spoilt("two-parts", NOT_PARTS, lambda made: made.rpartition(".")[0]),
    spoilt("four-parts", NOT_PARTS, lambda made: made + "." + made.split(".")[2]),
    spoilt("a-point-more-before", NOT_PARTS, lambda made: "." + made),
    spoilt("a-point-more-behind", NOT_PARTS, lambda made: made + "."),
    spoilt("five-parts-of-a-jwe", NOT_PARTS, lambda made: ".".join([*made.split("."), b64(b"x" * 20), b64(b"x" * 16)])),
    spoilt("points-alone", NOT_PARTS, lambda _: ".."),
    rewritten("empty-the", NOT_PARTS, "first", lambda _: ""),
    rewritten("empty-the", "MalformedToken: its payload is no JSON", "second", lambda _: ""),
    rewritten("empty-the", NOT_PARTS, "third", lambda _: ""),
    spoilt("json-serialisation-flattened", NOT_PARTS, flattened),
    spoilt("json-serialisation-general", NOT_PARTS, general),
    Pair(
        "a-byte-over-8-kib",
        "MalformedToken: it is longer than 8192 bytes",
        lambda: bearer(sized(LARGEST + 1)),
        lambda: bearer(sized(LARGEST)),
    ),
    spoilt("no-token-at-all", NOT_PARTS, lambda _: "null"),
)


def der(data: bytes) -> bytes:
    """Return a signature as all others but JWS write it."""
    return mine()[1].sign(data, ec.ECDSA(hashes.SHA256()))


def swapped(data: bytes) -> bytes:
    """Return a signature's two numbers in the wrong order."""
    whole = publics()["es"].sign(data)
    return whole[32:] + whole[:32]


def widened(data: bytes) -> bytes:
    """Return a signature's two numbers with a zero before each."""
    whole = publics()["es"].sign(data)
    return b"\0" + whole[:32] + b"\0" + whole[32:]


def signed_by(name: str, key: str, sign: Callable[[bytes], bytes]) -> Pair:
    """Return a token of a public key with another signature."""
    return Pair(
        name,
        CHANGED,
        lambda: bearer(token(publics()[key], sign=sign)),
        lambda: bearer(token(publics()[key])),
        ring="public",
    )


def resigned(name: str, sign: Callable[[bytes], bytes]) -> Pair:
    """Return a token of the secret with another signature."""
    return Pair(name, CHANGED, lambda: bearer(token(sign=sign)), lambda: bearer(token()))


def in_the_payload(rewrite: Rewrite) -> Rewrite:
    """Return what rewrites the payload of a token and leaves the signature as it was."""

    def spoil(made: str) -> str:
        header, payload, signature = made.split(".")
        return f"{header}.{rewrite(payload)}.{signature}"

    return spoil


def of_another(made: str) -> str:
    """Return a token with the signature of another one."""
    return f"{made.rpartition('.')[0]}.{token(claims={'jti': 'another'}).rpartition('.')[2]}"


SIGNATURES = (
    resigned("signature-without-its-last-byte", lambda data: SECRET.sign(data)[:-1]),
    resigned("signature-of-half-its-length", lambda data: SECRET.sign(data)[:16]),
    resigned("signature-of-one-byte", lambda data: SECRET.sign(data)[:1]),
    resigned("signature-with-a-byte-more", lambda data: SECRET.sign(data) + b"\0"),
    resigned("signature-twice", lambda data: SECRET.sign(data) * 2),
    resigned("signature-of-zeros", lambda _: b"\0" * 32),
    resigned("signature-in-hexadecimal", lambda data: SECRET.sign(data).hex().encode()),
    resigned("signature-of-the-header-alone", lambda data: SECRET.sign(data.partition(b".")[0])),
    resigned("signature-of-the-payload-alone", lambda data: SECRET.sign(data.partition(b".")[2])),
    resigned("signature-with-an-empty-secret", hmac_sha256(b"")),
    rewritten("a-flipped-bit-in-the", CHANGED, "third", flipped),
    spoilt("a-flipped-bit-in-the-payload", CHANGED, in_the_payload(flipped)),
    spoilt(
        "another-payload-under-the-signature",
        CHANGED,
        in_the_payload(lambda _: b64(text_of(claims_of({"sub": "root"})))),
    ),
    spoilt("signature-of-another-token", CHANGED, of_another),
    signed_by("es256-signature-in-der", "es", der),
    signed_by("es256-signature-of-zeros", "es", lambda _: b"\0" * 64),
    signed_by("es256-signature-of-two-ones", "es", lambda _: (b"\0" * 31 + b"\1") * 2),
    signed_by("es256-signature-with-its-numbers-swapped", "es", swapped),
    signed_by("es256-signature-with-wide-numbers", "es", widened),
    signed_by("rs256-signature-of-zeros", "rs", lambda _: b"\0" * 256),
    signed_by("rs256-signature-of-one", "rs", lambda _: b"\0" * 255 + b"\1"),
    signed_by("rs256-signature-with-a-zero-before", "rs", lambda data: b"\0" + publics()["rs"].sign(data)),
    signed_by("eddsa-signature-of-zeros", "ed", lambda _: b"\0" * 64),
    signed_by("eddsa-signature-without-its-last-byte", "ed", lambda data: publics()["ed"].sign(data)[:-1]),
)

WRITING = (*ENCODING, *FORM, *SIGNATURES)
