"""A2, A3: tokens of another library and ours, and what becomes of good tokens when anything of them is changed.

Counts are moderate, and twenty times as many with ``EVOX_SOAK``.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import import_key
from tests.properties.token_mutations import mutations, written

from evox import ServiceBuilder
from evox.auth import ALGORITHMS, Key, TokenVerifier, verify_jws
from evox.auth.issuing import Issuer
from evox.core import auth
from evox.errors import TokenRefused
from evox.testing import running

TIMES: Final = 20 if os.environ.get("EVOX_SOAK") else 1
NOW: Final = 1_800_000_000
ISSUER: Final = "https://login.example"
EACH: Final = pytest.mark.parametrize("algorithm", ALGORITHMS)
KINDS: Final = ("HS256", "RS256", "PS256", "ES256", "ES512", "EdDSA")

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")


@cache
def rsa() -> Mapping[str, Any]:
    """Return one RSA key; making one takes long."""
    return Key.generate("RS256").secret_jwk()


@cache
def key_of(algorithm: str) -> Key:
    if ALGORITHMS[algorithm][0] == "RSA":
        return Key.from_jwk({**rsa(), "alg": algorithm, "kid": f"key-{algorithm}"})
    return Key.generate(algorithm, kid=f"key-{algorithm}")


def public(algorithm: str) -> Mapping[str, Any]:
    """Return what a verifier knows of a key."""
    key = key_of(algorithm)
    return key.secret_jwk() if key.kind == "oct" else key.public_jwk()


@cache
def verifier_of(algorithm: str) -> TokenVerifier:
    return TokenVerifier(public(algorithm), issuer=ISSUER, audience="shop", clock=lambda: NOW)


@cache
def issued(algorithm: str) -> tuple[str, str]:
    """Return two good tokens of one key."""
    issuer = Issuer(lambda: key_of(algorithm), issuer=ISSUER, audience="shop", clock=lambda: NOW)
    return issuer.issue("ada", roles=["admin"]), issuer.issue("bob", roles=["user"], claims={"name": "Bob Ω"})


SHOWN = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | SHOWN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHOWN, inner, max_size=3),
    max_leaves=8,
)
MORE = st.dictionaries(st.sampled_from(["name", "email", "act", "cnf", "realm_access", "ß"]), JSON, max_size=3)


@EACH
@settings(max_examples=10 * TIMES, deadline=None)
@given(subject=SHOWN, roles=st.lists(SHOWN, max_size=4), more=MORE, typ=st.sampled_from(["JWT", "at+jwt", None]))
def test_A2_what_another_library_signs_is_accepted(
    algorithm: str, subject: str, roles: list[str], more: dict[str, Any], typ: str | None
) -> None:
    header = {"alg": algorithm, "kid": f"key-{algorithm}"} | ({} if typ is None else {"typ": typ})
    claims = {"iss": ISSUER, "aud": ["other", "shop"], "sub": subject, "iat": NOW, "exp": NOW + 60, "roles": roles}
    theirs = import_key(key_of(algorithm).secret_jwk())
    token = jwt.encode(header, claims | more, theirs, algorithms=[algorithm], default_type=None)
    principal = verifier_of(algorithm).verify(token)
    assert (principal.subject, principal.roles, principal.expires_at) == (subject, frozenset(roles), NOW + 60)
    assert dict(principal.claims) == claims | more
    assert json.loads(verify_jws(token.encode(), public(algorithm))) == claims | more


@EACH
@settings(max_examples=10 * TIMES, deadline=None)
@given(subject=SHOWN, roles=st.lists(SHOWN, max_size=4), more=MORE)
def test_A2_what_we_sign_is_accepted_by_another_library(
    algorithm: str, subject: str, roles: list[str], more: dict[str, Any]
) -> None:
    issuer = Issuer(lambda: key_of(algorithm), issuer=ISSUER, audience="shop", clock=lambda: NOW)
    token = issuer.issue(subject, roles=roles, ttl=60, claims=more)
    read = jwt.decode(token, import_key(dict(public(algorithm))), algorithms=[algorithm])
    assert read.header == {"alg": algorithm, "typ": "JWT", "kid": f"key-{algorithm}"}
    own = {"iss": ISSUER, "aud": "shop", "sub": subject, "iat": NOW, "exp": NOW + 60, "roles": roles}
    assert read.claims == own | more | {"jti": read.claims["jti"]}


@EACH
async def test_A2_a_service_issues_what_another_library_and_the_service_itself_accept(
    algorithm: str, tmp_path: Path
) -> None:
    svc = ServiceBuilder("shop")

    @svc.get("/me")
    @auth.require_roles("user")
    async def me() -> str:
        return auth.current().subject

    (tmp_path / "keys.json").write_text(json.dumps(key_of(algorithm).secret_jwk()))
    async with running(svc, settings={"auth": {"keys": ["keys.json"]}}, root=tmp_path) as env:
        token = auth.issue("ada", roles=["user"])
        claims = jwt.decode(token, import_key(dict(public(algorithm))), algorithms=[algorithm]).claims
        assert (claims["sub"], claims["exp"] - claims["iat"]) == ("ada", 900)
        assert (await env.client(svc, token=token).get("/me")).json() == "ada"


@pytest.mark.parametrize("algorithm", KINDS)
@settings(max_examples=250 * TIMES, deadline=None)
@given(data=st.data())
def test_A3_a_good_token_that_was_changed_in_any_way_is_refused(algorithm: str, data: st.DataObject) -> None:
    good = issued(algorithm)
    changed = data.draw(mutations(good))
    if changed in good:
        assert verifier_of(algorithm).verify(changed).is_authenticated
        return
    for given_ in (changed, changed.encode("utf-8", "surrogatepass")):
        with pytest.raises(TokenRefused):
            verifier_of(algorithm).verify(given_)
        with pytest.raises(TokenRefused):
            verify_jws(given_, public(algorithm))


def test_A3_of_ecdsa_signatures_the_mirror_image_is_accepted_and_no_other_form() -> None:
    """Whoever has a token can make it, without the key, and gains nothing: what is signed stays the same."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signed, _, signature = issued("ES256")[0].rpartition(".")
    r, s = (int.from_bytes(written(signature)[part]) for part in (slice(32), slice(32, 64)))
    mirrored = f"{signed}.{written(r.to_bytes(32) + (order - s).to_bytes(32))}"
    assert verifier_of("ES256").verify(mirrored) == verifier_of("ES256").verify(issued("ES256")[0])
    for other in ((r, s + order), (r + order, s), (order - r, s), (s, r), (0, s), (r, 0), (order, s), (r, order)):
        size = 32 if max(other) < 2**256 else 33
        with pytest.raises(TokenRefused):
            verifier_of("ES256").verify(f"{signed}.{written(b''.join(one.to_bytes(size) for one in other))}")


NAMES = st.sampled_from(["alg", "typ", "kid", "x5t", "crit", "iss", "aud", "sub", "exp", "iat", "nbf", "roles"])
VALUES = st.sampled_from(
    ["HS256", "none", "JWT", "at+jwt", "key-HS256", ISSUER, "shop", "ada", NOW, NOW + 60, ["shop"]]
)
DOCUMENT = st.dictionaries(NAMES | SHOWN, VALUES | JSON, max_size=8)
WHOLE = {"iss": ISSUER, "aud": "shop", "sub": "ada", "iat": NOW, "exp": NOW + 60}


@settings(max_examples=600 * TIMES, deadline=None)
@given(header=DOCUMENT | st.binary(max_size=40), payload=DOCUMENT | JSON | st.binary(max_size=40), whole=st.booleans())
@example(header=b'{"alg":"HS256"}', payload=b"[" * 4_000, whole=False)
@example(header=b'{"alg":"HS256","kid":"key-HS256"}', payload=b'{"exp":' + b"9" * 5_000 + b"}", whole=False)
def test_A3_whatever_is_signed_is_understood_or_refused(header: Any, payload: Any, *, whole: bool) -> None:
    """With ``whole`` the document stands in for members of a good one, so that every check is come to."""
    if whole:
        looked_at = header if isinstance(header, dict) else {}
        header = {"alg": "HS256"} | {name: value for name, value in looked_at.items() if name in ("typ", "x5t")}
    if whole and isinstance(payload, dict):
        payload = WHOLE | payload
    first, second = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, payload))
    signed = f"{written(first)}.{written(second)}"
    token = f"{signed}.{written(key_of('HS256').sign(signed.encode()))}"
    try:
        assert verify_jws(token, public("HS256")) == second
        principal = verifier_of("HS256").verify(token)
    except TokenRefused:
        return
    claims = json.loads(second)
    assert (principal.subject, principal.issuer, principal.expires_at) == (claims["sub"], ISSUER, claims["exp"])
    assert claims["iat"] <= NOW < claims["exp"]
    assert principal.roles == frozenset(claims.get("roles", ()))
    assert "shop" in ([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"])


@settings(max_examples=300 * TIMES, deadline=None)
@given(token=st.text(max_size=60) | st.binary(max_size=60) | JSON | st.from_regex(r"\A[\w-]{1,9}(\.[\w-]{0,9}){1,4}\Z"))
def test_A3_whatever_is_no_token_is_refused(token: Any) -> None:
    with pytest.raises(TokenRefused):
        verifier_of("HS256").verify(token)
    with pytest.raises(TokenRefused):
        verify_jws(token, public("HS256"))


SCHEMES = st.sampled_from([b"", b"Bearer ", b"bearer  ", b"Bearer\t", b"Evox-Internal ", b"Basic ", b"Bearer Bearer "])


@st.composite
def credentials(draw: st.DrawFn, good: str) -> bytes:
    """Return what may stand in an Authorization header, for better or worse."""
    what = draw(st.binary(max_size=60) | mutations((good, good)).map(lambda text: text.encode("utf-8", "replace")))
    return draw(SCHEMES) + what + draw(st.sampled_from([b"", b"", b" ", b", Bearer x", b"\0", b"\xff"]))


@settings(max_examples=40 * TIMES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_A3_whatever_stands_in_the_header_is_answered_and_never_with_5xx(
    anyio_backend_name: str, data: st.DataObject
) -> None:
    svc = ServiceBuilder("shop")
    entered: list[str] = []

    @svc.get("/me")
    @auth.require_roles("user")
    async def me() -> None:
        entered.append("me")

    @svc.get("/prices")
    @auth.public
    async def prices() -> None:
        entered.append("prices")

    async with running(svc) as env:
        client = env.client(svc)
        for values in data.draw(st.lists(st.lists(credentials(env.token("ada")), min_size=1, max_size=3), max_size=8)):
            headers = [(b"authorization", value) for value in values]
            reply = await client.get("/me", headers=headers)
            assert reply.status_code in (401, 403), (values, reply.text)
            assert "www-authenticate" in reply.headers
            internal = any(b"evox-internal" in value.lower() for value in values)
            assert (await client.get("/prices", headers=headers)).status_code == (401 if internal else 200), values
        assert "me" not in entered
