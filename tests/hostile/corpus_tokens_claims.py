"""Tokens that are signed as they should be, with claims that are not accepted. One claim differs from the twin's."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.hostile.forge import AUDIENCE, GONE, ISSUER, token
from tests.hostile.refusals import Pair, bearer

__all__ = ["CLAIMS"]

DAY = 86_400
NO_MOMENT = "UnacceptableClaims: its {} is missing, or no whole number of seconds"
NO_TEXT = "UnacceptableClaims: its {} is missing, or no text"
LIFETIME = "UnacceptableClaims: it is good for longer than 86400 s, or for no time at all"
WRONG_ISSUER = "UnacceptableClaims: its iss is not the issuer that is trusted here"
WRONG_AUDIENCE = "UnacceptableClaims: its aud is missing, or does not name this audience"
NO_ROLES = "UnacceptableClaims: its roles is no list of texts"
MAY_NOT = "NotAllowed: it wants admin, and user 'ada' has none of those roles"


def at(seconds: float) -> Callable[[int], float]:
    """Return a time, seen from now."""
    return lambda now: now + seconds


def changed(
    name: str, reason: str, bad: Mapping[str, Any], twin: Mapping[str, Any] | None = None, *, status: int = 401
) -> Pair:
    """Return a pair of which only claims differ."""
    return Pair(name, reason, lambda: bearer(token(claims=bad)), lambda: bearer(token(claims=twin)), status)


def times(claim: str, *, may_be_missing: bool = False) -> tuple[Pair, ...]:
    """Return what is no time: the claim is a good one in every twin, and the same moment wherever it can be."""
    reason, offset = NO_MOMENT.format(claim), 600 if claim == "exp" else -5
    good = {claim: at(offset)}
    bad: Mapping[str, Any] = {
        "text": lambda now: str(now + offset),
        "float": lambda now: float(now + offset),
        "fraction": lambda now: now + offset + 0.5,
        "bool": True,
        "null": None,
        "list": lambda now: [now + offset],
        "object": lambda now: {"value": now + offset},
        "negative": -1,
        "huge": 2**53 + 1,
        "date": "2030-01-01T00:00:00Z",
    }
    missing = () if may_be_missing else (changed(f"{claim}-missing", reason, {claim: GONE}, good),)
    return (*missing, *(changed(f"{claim}-{kind}", reason, {claim: value}, good) for kind, value in bad.items()))


def texts(claim: str, good: str) -> tuple[Pair, ...]:
    """Return what is no text that can be shown."""
    reason = NO_TEXT.format(claim)
    bad: Mapping[str, Any] = {
        "missing": GONE,
        "empty": "",
        "null": None,
        "number": 1,
        "list": [good],
        "object": {"value": good},
        "newline": good + "\n",
        "nul": good + "\0",
        "zero-width": good + "\u200b",
        "right-to-left": "\u202e" + good,
    }
    return tuple(changed(f"{claim}-{kind}", reason, {claim: value}, {claim: good}) for kind, value in bad.items())


TIMES = (
    *times("exp"),
    *times("iat"),
    *times("nbf", may_be_missing=True),
    changed("exp-past", "TokenExpired: ", {"exp": at(-1), "iat": at(-60)}, {"exp": at(60), "iat": at(-60)}),
    changed("exp-long-past", "TokenExpired: ", {"exp": 1, "iat": 0}),
    changed("exp-equal-to-now", "TokenExpired: ", {"exp": at(0), "iat": at(-60)}, {"exp": at(60), "iat": at(-60)}),
    changed("exp-of-10-years", LIFETIME, {"exp": at(3_650 * DAY)}, {"exp": at(DAY)}),
    changed("exp-in-milliseconds", LIFETIME, {"exp": lambda now: (now + 900) * 1_000}, {"exp": at(900)}),
    changed("exp-the-largest-number", LIFETIME, {"exp": 2**53}, {"exp": at(900)}),
    changed("lifetime-of-a-day-and-a-second", LIFETIME, {"exp": at(DAY - 59), "iat": at(-60)}, {"exp": at(DAY)}),
    changed("lifetime-zero", LIFETIME, {"iat": at(50), "exp": at(50)}, {"iat": at(50), "exp": at(51)}),
    changed("iat-after-exp", LIFETIME, {"iat": at(51), "exp": at(50)}, {"iat": at(50), "exp": at(51)}),
    changed("iat-in-1970", LIFETIME, {"iat": 0}, {"iat": at(-60)}),
    changed("iat-future", "UnacceptableClaims: its iat lies in the future", {"iat": at(90)}, {"iat": at(30)}),
    changed("nbf-future", "UnacceptableClaims: its nbf lies in the future", {"nbf": at(90)}, {"nbf": at(30)}),
)

WHO = (
    *texts("sub", "ada"),
    *texts("iss", ISSUER),
    changed("iss-other", WRONG_ISSUER, {"iss": "https://evil.example"}),
    changed("iss-trailing-slash", WRONG_ISSUER, {"iss": ISSUER + "/"}),
    changed("iss-in-other-case", WRONG_ISSUER, {"iss": ISSUER.upper()}),
    changed("iss-plain-http", WRONG_ISSUER, {"iss": ISSUER.replace("https", "http")}),
    changed("iss-ours-with-a-tail", WRONG_ISSUER, {"iss": ISSUER + ".evil.example"}),
    changed("iss-ours-in-part", WRONG_ISSUER, {"iss": ISSUER[:-1]}),
)

FOR_WHOM = (
    changed("aud-missing", WRONG_AUDIENCE, {"aud": GONE}),
    changed("aud-other", WRONG_AUDIENCE, {"aud": "another"}),
    changed("aud-empty", WRONG_AUDIENCE, {"aud": ""}),
    changed("aud-null", WRONG_AUDIENCE, {"aud": None}),
    changed("aud-number", WRONG_AUDIENCE, {"aud": 1}),
    changed("aud-object", WRONG_AUDIENCE, {"aud": {AUDIENCE: True}}),
    changed("aud-in-other-case", WRONG_AUDIENCE, {"aud": AUDIENCE.upper()}),
    changed("aud-several-in-one-text", WRONG_AUDIENCE, {"aud": f"another {AUDIENCE}"}, {"aud": ["another", AUDIENCE]}),
    changed("aud-empty-list", WRONG_AUDIENCE, {"aud": []}, {"aud": [AUDIENCE]}),
    changed("aud-list-of-others", WRONG_AUDIENCE, {"aud": ["another", "third"]}, {"aud": ["another", AUDIENCE]}),
    changed("aud-list-with-a-number", WRONG_AUDIENCE, {"aud": [AUDIENCE, 1]}, {"aud": [AUDIENCE, "1"]}),
    changed("aud-list-with-an-object", WRONG_AUDIENCE, {"aud": [AUDIENCE, {}]}, {"aud": [AUDIENCE]}),
    changed("aud-list-with-null", WRONG_AUDIENCE, {"aud": [AUDIENCE, None]}, {"aud": [AUDIENCE]}),
    changed("aud-list-in-a-list", WRONG_AUDIENCE, {"aud": [[AUDIENCE]]}, {"aud": [AUDIENCE]}),
)

ROLES = (
    changed("roles-text", NO_ROLES, {"roles": "admin"}, {"roles": ["admin"]}),
    changed("roles-several-in-one-text", NO_ROLES, {"roles": "user admin"}, {"roles": ["user", "admin"]}),
    changed("roles-object", NO_ROLES, {"roles": {"admin": True}}, {"roles": ["admin"]}),
    changed("roles-null", NO_ROLES, {"roles": None}),
    changed("roles-true", NO_ROLES, {"roles": True}),
    changed("roles-number", NO_ROLES, {"roles": 1}),
    changed("roles-with-a-number", NO_ROLES, {"roles": ["admin", 1]}, {"roles": ["admin", "1"]}),
    changed("roles-with-null", NO_ROLES, {"roles": ["admin", None]}, {"roles": ["admin"]}),
    changed("roles-with-an-object", NO_ROLES, {"roles": ["admin", {"name": "root"}]}, {"roles": ["admin", "root"]}),
    changed("roles-nested", NO_ROLES, {"roles": [["admin"]]}, {"roles": ["admin"]}),
    changed("roles-with-an-empty-text", NO_ROLES, {"roles": ["admin", ""]}, {"roles": ["admin"]}),
    changed("roles-with-a-newline", NO_ROLES, {"roles": ["admin", "user\n"]}, {"roles": ["admin", "user"]}),
    changed("no-roles-claim", MAY_NOT, {"roles": GONE}, status=403),
    changed("no-roles", MAY_NOT, {"roles": []}, status=403),
    changed("role-other", MAY_NOT, {"roles": ["user"]}, {"roles": ["user", "admin"]}, status=403),
    changed("role-in-other-case", MAY_NOT, {"roles": ["Admin"]}, status=403),
    changed("role-with-a-trailing-blank", MAY_NOT, {"roles": ["admin "]}, status=403),
    changed("role-with-a-leading-blank", MAY_NOT, {"roles": [" admin"]}, status=403),
    changed("role-that-looks-the-same", MAY_NOT, {"roles": ["\u0430dmin"]}, status=403),
    changed("role-in-wide-letters", MAY_NOT, {"roles": ["\uff41\uff44\uff4d\uff49\uff4e"]}, status=403),
    changed("role-with-a-star", MAY_NOT, {"roles": ["*", "admin*", "ad"]}, status=403),
    changed("role-in-another-claim", MAY_NOT, {"roles": ["user"], "role": "admin", "scope": "admin"}, status=403),
)

CLAIMS = (*TIMES, *WHO, *FOR_WHOM, *ROLES)
