"""Auth: whose tokens are believed, and with which keys they are verified. ``[tool.evox.auth]``."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from evox.config.fields import Limit, Seconds, Table, split

__all__ = ["AuthSettings"]

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("keys are fetched by https only: https://issuer.example/.well-known/jwks.json")
    if parts.username or parts.password:
        raise ValueError("a JWKS is public: the URL has no password in it")
    return url


Sources = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]


class AuthSettings(Table):
    """``[tool.evox.auth]``. Whose tokens are believed."""

    keys: Sources = Field(
        default=(),
        description="where keys are: files (JWK, JWKS, PEM or a secret) or `env:NAME`; `#kid` after one names it",
    )
    algorithms: Annotated[tuple[Algorithm, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(), description="algorithms that are accepted; those of the keys when empty"
    )
    issuer: str | None = Field(default=None, min_length=1, description="`iss` of tokens; `evox` without jwks_url")
    audience: str | None = Field(default=None, min_length=1, description="`aud` of tokens; `evox` without jwks_url")
    roles_claim: str = Field(
        default="roles", min_length=1, description="where roles stand in a token, such as `realm_access.roles`"
    )
    leeway: Seconds = Field(
        default=5.0, description="how far the issuer's clock may be ahead of ours; it never prolongs a token"
    )
    max_lifetime: Limit = Field(default=86_400.0, description="how long a token may be good for at most")
    jwks_url: Annotated[str, AfterValidator(_https)] | None = Field(
        default=None, description="where the issuer publishes its keys; https only"
    )
    jwks_cafile: str | None = Field(
        default=None,
        min_length=1,
        description="certificates in PEM that its server is trusted by; the system's if empty",
    )
    jwks_max_age: Limit = Field(default=600.0, description="how often they are fetched anew")
    jwks_max_stale: Limit = Field(
        default=86_400.0, description="how long old ones are believed while they cannot be fetched"
    )
    docs: bool = Field(
        default=False, description="whether the documentation of services that ask who calls is open without `--dev`"
    )
    internal_keys: Sources = Field(
        default=(), description="as keys: what services of several processes sign calls to each other with"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse at once what contradicts itself."""
        if self.keys and self.jwks_url is not None:
            raise ValueError("keys and jwks_url exclude each other: one issuer has its keys in one place")
        missing = [name for name in ("issuer", "audience") if getattr(self, name) is None]
        if self.jwks_url is not None and missing:
            raise ValueError(f"jwks_url belongs to an issuer whose tokens may be for others too: say {missing[0]}")
        return self
