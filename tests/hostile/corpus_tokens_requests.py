"""Good tokens that do not come in the one header, or not in the one way; a few more credentials that are none."""

import base64
from collections.abc import Callable

from tests.hostile.forge import token
from tests.hostile.refusals import Ask, Pair, bearer

__all__ = ["REQUESTS"]

SEVERAL = "MalformedToken: there are several Authorization headers"
NOT_ONE = "MalformedToken: what follows the scheme is not one token"
NOT_PARTS = "MalformedToken: it is not three parts of base64url"
NOBODY = "NotAuthenticated: nobody has said who calls"
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def asked(name: str, reason: str, bad: Callable[[str], Ask], twin: Callable[[str], Ask] = bearer) -> Pair:
    """Return a pair of two ways to bring one token along."""
    return Pair(name, reason, lambda: bad(token()), lambda: twin(token()))


def written(name: str, reason: str, form: str, twin: str = "Bearer {}") -> Pair:
    """Return a pair of two ways to write the header."""
    return asked(name, reason, lambda made: _header(form, made), lambda made: _header(twin, made))


def _header(form: str, made: str) -> Ask:
    return Ask((("Authorization", form.format(made)),))


def beside(name: str, bad: Callable[[str], tuple[str, str]]) -> Pair:
    """Return a token in a header of another name; the twin has it there too, and one where it belongs."""
    return asked(name, NOBODY, lambda made: Ask((bad(made),)), lambda made: Ask((*bearer(made).headers, bad(made))))


def two(first: str, second: str, *, names: tuple[str, str] = ("Authorization", "Authorization")) -> Ask:
    """Return a request with two headers."""
    return Ask(((names[0], f"Bearer {first}"), (names[1], f"Bearer {second}")))


def basic(made: str) -> tuple[str, str]:
    """Return a token as the password of HTTP's oldest scheme."""
    return "Authorization", "Basic " + base64.b64encode(f"ada:{made}".encode()).decode()


def posted(made: str, *, also: bool) -> Ask:
    """Return a token in a form, and in the header too."""
    headers = (FORM, *(bearer(made).headers if also else ()))
    return Ask(headers, method="POST", body=f"access_token={made}".encode())


def queried(made: str, *, also: bool) -> Ask:
    """Return a token in the query, and in the header too."""
    return Ask(bearer(made).headers if also else (), target=f"/gold?access_token={made}")


def trailed(made: str, *, also: bool) -> Ask:
    """Return a token behind a body in chunks, and in the header too."""
    headers = (("Transfer-Encoding", "chunked"), ("Trailer", "Authorization"), *(bearer(made).headers if also else ()))
    return Ask(headers, method="POST", body=f"1\r\nx\r\n0\r\nAuthorization: Bearer {made}\r\n\r\n".encode())


HEADERS = (
    asked("two-headers-with-the-same-token", SEVERAL, lambda made: two(made, made)),
    asked("two-headers-good-and-bad", SEVERAL, lambda made: two(made, made[:-2])),
    asked("two-headers-bad-and-good", SEVERAL, lambda made: two(made[:-2], made)),
    asked("two-headers-in-two-cases", SEVERAL, lambda made: two(made, made, names=("Authorization", "AUTHORIZATION"))),
    asked("two-headers-one-of-them-basic", SEVERAL, lambda made: Ask((*bearer(made).headers, basic(made)))),
    asked("two-headers-one-of-them-empty", SEVERAL, lambda made: Ask((*bearer(made).headers, ("Authorization", "")))),
    written("joined-by-a-comma", NOT_ONE, "Bearer {0}, Bearer {0}"),
    written("joined-by-a-comma-alone", NOT_PARTS, "Bearer {0},{0}"),
    written("two-tokens", NOT_ONE, "Bearer {0} {0}"),
    written("a-word-behind-the-token", NOT_ONE, "Bearer {} admin"),
    written("a-parameter-behind-the-token", NOT_ONE, "Bearer {}; admin=true"),
    written("no-token", NOT_ONE, "Bearer"),
    written("no-token-but-a-blank", NOT_ONE, "Bearer  ", "Bearer  {}"),
    written("a-tab-after-the-scheme", NOT_ONE, "Bearer\t{}", "Bearer   {}"),
    written("equals-after-the-scheme", NOT_ONE, "Bearer={}"),
    written("colon-after-the-scheme", NOT_ONE, "Bearer: {}", "Bearer {} "),
    written("comma-after-the-scheme", NOT_ONE, "Bearer,{}"),
    written("wide-blank-after-the-scheme", NOT_ONE, "Bearer\u00a0{}"),
    written("the-scheme-twice", NOT_ONE, "Bearer Bearer {}", "bearer {}"),
    written("two-schemes", NOT_ONE, "Bearer Basic {}", "BEARER {}"),
    written("named-parameter", NOT_PARTS, "Bearer token={}", "bEaReR {}"),
    written("in-angle-brackets", NOT_PARTS, "Bearer <{}>"),
)

SCHEMES = (
    written("no-scheme", NOBODY, "{}"),
    written("scheme-token", NOBODY, "Token {}"),
    written("scheme-jwt", NOBODY, "JWT {}"),
    written("scheme-dpop", NOBODY, "DPoP {}"),
    written("scheme-negotiate", NOBODY, "Negotiate {}"),
    written("scheme-oauth", NOBODY, "OAuth {}"),
    written("scheme-bearer-with-a-letter-more", NOBODY, "Bearers {}"),
    written("scheme-bearer-with-a-letter-less", NOBODY, "Beare {}"),
    written("scheme-without-a-blank", NOBODY, "Bearer{}"),
    written("empty-header", NOBODY, ""),
    asked("scheme-basic", NOBODY, lambda made: Ask((basic(made),))),
)

ELSEWHERE = (
    asked("in-the-query", NOBODY, lambda made: queried(made, also=False), lambda made: queried(made, also=True)),
    asked("in-a-form", NOBODY, lambda made: posted(made, also=False), lambda made: posted(made, also=True)),
    asked("in-a-trailer", NOBODY, lambda made: trailed(made, also=False), lambda made: trailed(made, also=True)),
    beside("in-a-cookie-access-token", lambda made: ("Cookie", f"access_token={made}")),
    beside("in-a-cookie-authorization", lambda made: ("Cookie", f"Authorization=Bearer {made}")),
    beside("in-x-access-token", lambda made: ("X-Access-Token", made)),
    beside("in-x-auth-token", lambda made: ("X-Auth-Token", made)),
    beside("in-x-authorization", lambda made: ("X-Authorization", f"Bearer {made}")),
    beside("in-x-forwarded-authorization", lambda made: ("X-Forwarded-Authorization", f"Bearer {made}")),
    beside("in-x-original-authorization", lambda made: ("X-Original-Authorization", f"Bearer {made}")),
    beside("in-proxy-authorization", lambda made: ("Proxy-Authorization", f"Bearer {made}")),
    beside("in-www-authenticate", lambda made: ("WWW-Authenticate", f"Bearer {made}")),
    beside("in-authorization-with-a-line", lambda made: ("Authorization_", f"Bearer {made}")),
    beside("in-x-jwt-assertion", lambda made: ("X-JWT-Assertion", made)),
    beside("in-sec-websocket-protocol", lambda made: ("Sec-WebSocket-Protocol", f"bearer, {made}")),
)

REQUESTS = (*HEADERS, *SCHEMES, *ELSEWHERE)
