"""Auth: who calls, and what they may do. ``from evox.core import auth`` gives this package.

@auth.require_roles("admin")                                          on endpoints, controllers, data types
@auth.require_intent(intent_type="user_write", required_roles=["admin"])
@auth.public
auth.current()                                                        who the current task works for
auth.issue("ada", roles=["admin"])                                    a token
auth.TokenVerifier(keys, issuer=..., audience=...).verify(token)      the verifier, by itself
"""

from evox.auth.authority import Authority, AuthorityStatistics, Caller, Mode
from evox.auth.credentials import INTERNAL_SCHEME, claims_internal, credentials_of
from evox.auth.facade import issue, public_jwks
from evox.auth.internal import Internal, InternalTokens
from evox.auth.jws import verify_jws
from evox.auth.keyfiles import read_secret
from evox.auth.keys import ALGORITHMS, Key
from evox.auth.keysets import KeySet
from evox.auth.principal import ANONYMOUS, Principal, current, enter_principal, leave_principal, on_behalf, system
from evox.auth.refusals import Refusal
from evox.auth.requirements import (
    Clause,
    Requirement,
    anything_declared,
    declared_on_types,
    protected_types,
    public,
    require_intent,
    require_roles,
    requirement_of,
    requirements_within,
)
from evox.auth.verifier import TokenVerifier

__all__ = [
    "ALGORITHMS",
    "ANONYMOUS",
    "INTERNAL_SCHEME",
    "Authority",
    "AuthorityStatistics",
    "Caller",
    "Clause",
    "Internal",
    "InternalTokens",
    "Key",
    "KeySet",
    "Mode",
    "Principal",
    "Refusal",
    "Requirement",
    "TokenVerifier",
    "anything_declared",
    "claims_internal",
    "credentials_of",
    "current",
    "declared_on_types",
    "enter_principal",
    "issue",
    "leave_principal",
    "on_behalf",
    "protected_types",
    "public",
    "public_jwks",
    "read_secret",
    "require_intent",
    "require_roles",
    "requirement_of",
    "requirements_within",
    "system",
    "verify_jws",
]
