"""Keying: under which key an answer is kept, and under which tags it is taken away.

Values that may be secrets (headers, cookies, what dependencies returned) enter a key as a digest only.
"""

import hashlib
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from pydantic_core import to_json
from starlette.requests import Request
from starlette.types import Scope

from evox.auth import ANONYMOUS, Principal
from evox.errors import InvalidDeclaration
from evox.services.endpoint import Endpoint
from evox.services.identity import state_of
from evox.services.inputs import Inputs, Reads

__all__ = ["KeyMaker", "digest_of", "facts_of", "first_key", "groups_of", "path_of"]

READABLE: Final = 200  # characters; what is longer, or no plain text, is kept under its digest


class KeyMaker:
    """Makes the keys of one endpoint's answers.

    Args:
        inputs: What they depend on beside path and query.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._reads = inputs.reads
        self._arguments = inputs.arguments

    def make(self, request: Request, arguments: dict[str, Any] | None = None, principal: Principal = ANONYMOUS) -> str:
        """Return the key of a request's answer: method, path and query, and a digest of what else it depends on.

        Args:
            request: The request. Its ``Authorization`` counts where no guard has said who calls: middleware, or the
                handler, may have looked at it.
            arguments: The handler's arguments, where dependencies are among the inputs.
            principal: Who calls, as its guard says.

        Raises:
            InvalidDeclaration: if an argument cannot be told from others: it shows no state.
        """
        scope = request.scope
        raw = scope["query_string"]
        query = f"?{_canonical(raw.decode('latin-1'))}" if raw else ""
        text = _short(f"{scope['method']} {_exact(request)}{query}")
        facts = facts_of(request, self._reads)
        for name, reads in self._arguments:
            value = None if arguments is None else arguments[name]
            # None and True tell nobody from anybody: what it was made of may have been told in other ways.
            silent = value is None or isinstance(value, bool)
            facts.append([value, *facts_of(request, reads)] if silent else _state(name, value))
        if principal.is_authenticated:
            facts.append(list(principal.identity()))
            return f"{text} {_digest(to_json(facts))}"
        credentials = request.headers.get("authorization")
        if credentials is not None and "authorization" not in self._reads.headers:
            facts.append([credentials])
        return f"{text} {_digest(to_json(facts))}" if facts else text


def facts_of(request: Request, reads: Reads) -> list[Any]:
    """Return what was read of a request: header by header, cookie by cookie, or all that it says of its client."""
    facts: list[Any] = [request.headers.getlist(name) for name in reads.headers]
    facts += [[request.cookies.get(name)] for name in reads.cookies]
    if reads.whole:
        facts += [sorted(request.headers.items()), request.client.host if request.client else None]
        facts += [request.scope["query_string"].decode("latin-1"), request.scope.get("raw_path", b"").decode("latin-1")]
    return facts


def first_key(request: Request, given: str, caller: list[Any]) -> str:
    """Return under which key the first answer to a request is kept: its method and path, and a digest of the rest.

    Args:
        request: The request.
        given: Its idempotency key.
        caller: What tells who calls.
    """
    target = f"{request.scope['method']} {_exact(request)}"
    return f"{_short(target)} {_digest(to_json([target, given, caller]))}"


def digest_of(request: Request, body: bytes, facts: list[Any]) -> bytes:
    """Return a digest of what a request asks for beside its method and path.

    Args:
        request: The request.
        body: All of its body.
        facts: What else of it counts.
    """
    head = to_json([_canonical(request.scope["query_string"].decode("latin-1")), facts])
    digest = hashlib.blake2b(head + b"\0", digest_size=32)
    digest.update(body)
    return digest.digest()


def _exact(request: Request) -> str:
    """Return the path as it was asked for: what is quoted in it stays so, and a slash at the end counts."""
    scope = request.scope
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw.lower():  # a slash that the path cannot tell from others
        return raw.decode("latin-1")
    path: str = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    return quote(path, safe="/", errors="surrogatepass")


def path_of(scope: Scope) -> str:
    """Return the path of a request below the service, without a slash at the end."""
    path: str = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    return path.rstrip("/") or "/"


def groups_of(row: Endpoint | None, path: str, *, above: bool = False) -> list[str]:
    """Return the tags of the answers of a path: the path itself, and the controller if there is one.

    Args:
        row: The endpoint; None if it is none of ours.
        path: From ``path_of``.
        above: Whether to name the collection above it too, as for what a write takes away.
    """
    controller = None if row is None else row.controller
    return list(_groups(None if controller is None else controller.__qualname__, path, above))


@lru_cache(512)  # most writes go to a few paths
def _groups(controller: str | None, path: str, above: bool) -> tuple[str, ...]:
    groups = [f"answers of {_short(path)}"]
    if above and path != "/":
        groups.append(f"answers of {_short(path.rpartition('/')[0] or '/')}")
    if controller is not None:
        groups.append(f"answers of controller {controller}")
    return tuple(groups)


def _canonical(query: str) -> str:
    """Return a query in the order of its names: the order in which a client writes them means nothing.

    It is read as Starlette reads it, so that two that differ for a handler differ here.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode(sorted(pairs, key=lambda pair: pair[0]), errors="surrogatepass") if pairs else query


def _short(text: str) -> str:
    return (
        text
        if len(text) <= READABLE and text.isascii() and text.isprintable()
        else _digest(text.encode("utf-8", "surrogatepass"))
    )


def _state(name: str, value: Any) -> Any:
    try:
        return state_of(value)
    except ValueError as error:
        why = f"{error}; let the dependency return what identifies it, such as an id"
        raise InvalidDeclaration("vary_on", name, on="@Intent", why=why) from None


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
