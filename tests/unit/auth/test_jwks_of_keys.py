"""A2: a key that is written as a JWK and read again is the same key, and its JWK says one thing of what it is for."""

import pytest

from evox.auth import ALGORITHMS, Key
from evox.errors import UnusableKey

SOME = ["HS256", "RS256", "PS512", "ES256", "ES512", "EdDSA"]


@pytest.mark.parametrize("algorithm", SOME)
def test_A2_what_is_written_with_its_secret_is_read_again(algorithm: str) -> None:
    key = Key.generate(algorithm, kid="k")
    again = Key.from_jwk(key.secret_jwk())
    assert (again.kid, again.algorithm, again.can_sign) == ("k", algorithm, True)
    assert again.verify(b"signed", key.sign(b"signed"))
    assert key.verify(b"signed", again.sign(b"signed"))


@pytest.mark.parametrize("algorithm", [one for one in SOME if ALGORITHMS[one][0] != "oct"])
def test_A2_what_is_published_is_read_again_and_verifies_only(algorithm: str) -> None:
    key = Key.generate(algorithm, kid="k")
    jwk = key.public_jwk()
    assert (jwk["use"], jwk["alg"], "key_ops" in jwk, "d" in jwk) == ("sig", algorithm, False, False)
    published = Key.from_jwk(jwk)
    assert not published.can_sign
    assert published.verify(b"signed", key.sign(b"signed"))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_A2_a_private_key_for_signing_is_one_whose_public_half_verifies(algorithm: str) -> None:
    key = Key.generate(algorithm, kid="k")
    assert Key.from_jwk({**key.secret_jwk(), "key_ops": ["sign"]}).can_sign
    for operations in (["sign"], ["encrypt"], [], "verify", None):
        with pytest.raises(UnusableKey, match="key_ops"):
            Key.from_jwk({**key.public_jwk(), "key_ops": operations})
    with pytest.raises(UnusableKey, match="key_ops"):
        Key.from_jwk({**key.secret_jwk(), "key_ops": ["decrypt", "unwrapKey"]})


def test_A2_a_secret_that_may_only_sign_verifies_nothing() -> None:
    with pytest.raises(UnusableKey, match="key_ops"):
        Key.from_jwk({**Key.generate("HS256").secret_jwk(), "key_ops": ["sign"]})
