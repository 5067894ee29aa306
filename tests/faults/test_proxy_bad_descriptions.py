"""Peers whose descriptions are garbage, huge, or lies, and odd OpenAPI documents: a clear error, and nothing more."""

import json
from typing import Any

import anyio
import pytest
from tests.faults.raw_peer import answer, calling, raw_peer

from evox.core import proxy
from evox.errors import CallFailed, ProxyError, UnknownOperation
from evox.service_proxy.openapi import operations_in

GET = {"name": "get_user", "method": "GET", "path": "/users/{user_id}", "arguments": []}
USER_ID = {"name": "user_id", "alias": "user_id", "where": "path"}


def described(*operations: Any) -> bytes:
    return answer(json.dumps({"service": "users", "version": "1", "operations": operations}).encode())


GARBAGE: dict[str, bytes] = {
    "none": answer(b""),
    "no JSON": answer(b"<html>sk_live_51H</html>"),
    "too deep": answer(b"[" * 100_000),
    "a list": answer(b"[]"),
    "null": answer(b"null"),
    "no operations": answer(b"{}"),
    "operations that are none": answer(b'{"operations": {"a": 1}}'),
    "an operation without a path": described({"name": "get_user", "method": "GET", "arguments": []}),
    "an unknown method": described({**GET, "method": "STEAL"}),
    "a line feed in the method": described({**GET, "method": "GET / HTTP/1.1\r\nx: y"}),
    "a path elsewhere": described({**GET, "path": "http://elsewhere/"}),
    "a name of a million letters": described({**GET, "name": "a" * 1_000_000}),
    "a million operations": answer(b'{"operations": [' + b'{"name":"a"},' * 1_000_000 + b"1]}"),
    "longer than may be": answer(b'{"operations": [' + b" " * 17_000_000 + b"]}"),
    "status 500": answer(b"{}", status="500 Oops"),
    "status 404": answer(b"{}", status="404 Not Found"),
    "status 401": answer(b"{}", status="401 Unauthorized"),
    "a redirect": answer(b"", "location: /elsewhere", status="302 Found"),
}


@pytest.mark.parametrize("trust", ["internal", "external"])
@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_a_description_that_is_garbage_is_a_clear_error(said: bytes, trust: str) -> None:
    async with raw_peer(said) as peer, calling(peer, known=False, of={"trust": trust}):
        with anyio.fail_after(4), pytest.raises((CallFailed, UnknownOperation)) as caught:
            await proxy.users.get_user(1)
        assert "sk_live" not in str(caught.value)
        assert len(str(caught.value)) < 600


LIES: dict[str, dict[str, Any]] = {
    "a placeholder twice": {**GET, "path": "/{user_id}/{user_id}", "arguments": [USER_ID]},
    "an unknown convertor": {**GET, "path": "/{user_id:secret}", "arguments": [USER_ID]},
    "a path convertor, twice": {**GET, "path": "/{user_id:path}/{user_id:path}", "arguments": [USER_ID]},
    "a placeholder that is no name": {**GET, "path": "/{user-id}/x", "arguments": [USER_ID]},
    "a placeholder that nothing fills": {**GET, "path": "/{other}", "arguments": [USER_ID]},
    "an argument that fills nothing": {**GET, "path": "/users", "arguments": [USER_ID]},
    "braces that do not match": {**GET, "path": "/{user_id", "arguments": [USER_ID]},
    "two arguments of one name": {**GET, "arguments": [USER_ID, USER_ID]},
    "a path with a line feed": {**GET, "path": "/\r\nx: y", "arguments": [USER_ID | {"where": "query"}]},
    "a path with a query": {**GET, "path": "/?a=b#c", "arguments": [USER_ID | {"where": "query"}]},
    "a path that goes up": {**GET, "path": "/../../etc", "arguments": [USER_ID | {"where": "query"}]},
    "a path that is a host": {**GET, "path": "//elsewhere:1/", "arguments": [USER_ID | {"where": "query"}]},
    "a path that is user and host": {**GET, "path": "/@elsewhere:1/", "arguments": [USER_ID | {"where": "query"}]},
    "our header": {**GET, "path": "/", "arguments": [USER_ID | {"where": "header", "alias": "Authorization"}]},
    "the header of the host": {**GET, "path": "/", "arguments": [USER_ID | {"where": "header", "alias": "Host"}]},
    "a header with a line feed": {
        **GET,
        "path": "/",
        "arguments": [USER_ID | {"where": "header", "alias": "x\r\ny: z"}],
    },
    "a header without a name": {**GET, "path": "/", "arguments": [USER_ID | {"where": "header", "alias": ""}]},
    "a header beyond latin": {**GET, "path": "/", "arguments": [USER_ID | {"where": "header", "alias": "ж"}]},
    "a cookie with a line feed": {
        **GET,
        "path": "/",
        "arguments": [USER_ID | {"where": "cookie", "alias": "a\r\nb: c"}],
    },
    "a cookie beyond latin": {**GET, "path": "/", "arguments": [USER_ID | {"where": "cookie", "alias": "ж"}]},
    "a cookie of several": {**GET, "path": "/", "arguments": [USER_ID | {"where": "cookie", "alias": "a=b; c"}]},
    "half a character": {**GET, "path": "/\ud800", "arguments": [USER_ID | {"where": "query"}]},
    "a query of half a character": {**GET, "path": "/", "arguments": [USER_ID | {"where": "query", "alias": "\ud800"}]},
    "a body of a GET": {**GET, "path": "/", "arguments": [USER_ID | {"where": "body"}]},
    "a file that is a number": {**GET, "path": "/", "arguments": [USER_ID | {"where": "file"}]},
    "a trace": {**GET, "path": "/", "method": "TRACE", "arguments": [USER_ID | {"where": "query"}]},
}


@pytest.mark.parametrize("said", LIES.values(), ids=LIES)
async def test_a_description_that_lies_leads_nowhere_else_and_to_no_header_of_ours(said: dict[str, Any]) -> None:
    async with raw_peer(described(said), answer(b"1")) as peer, calling(peer, known=False) as env:
        with anyio.fail_after(4):
            ended = (await proxy.gather(proxy.users.get_user("1"), return_exceptions=True))[0]
        assert ended == 1 or isinstance(ended, ProxyError), repr(ended)
        if len(peer.heads) > 1:
            lines = peer.heads[1].decode("latin-1").lower().split("\r\n")
            for name in ("host:", "authorization:"):
                assert sum(line.startswith(name) for line in lines) == 1
            assert f"host: 127.0.0.1:{peer.port}" in lines
            assert not any(line.startswith(("x: y", "y: z", "b: c")) for line in lines)
        assert env.host("orders").running.lifecycle.state.name == "READY"


DOCUMENTS: dict[str, Any] = {
    "parameters null": {"paths": {"/": {"parameters": None, "get": {"parameters": None}}}},
    "parameters a number": {"paths": {"/": {"parameters": 1, "get": {"parameters": 2}}}},
    "parameters a text": {"paths": {"/": {"parameters": "abc", "get": {"parameters": "abc"}}}},
    "parameters an object": {"paths": {"/": {"parameters": {"a": 1}, "get": {"parameters": {"a": 1}}}}},
    "a parameter in a list": {"paths": {"/": {"get": {"parameters": [{"in": ["query"], "name": "a"}]}}}},
    "a parameter in an object": {"paths": {"/": {"get": {"parameters": [{"in": {}, "name": "a"}]}}}},
    "a parameter without a name": {"paths": {"/": {"get": {"parameters": [{"in": "query"}]}}}},
    "a schema that is a list": {"paths": {"/": {"get": {"parameters": [{"in": "query", "name": "a", "schema": []}]}}}},
    "a schema that is true": {"paths": {"/": {"get": {"parameters": [{"in": "query", "name": "a", "schema": True}]}}}},
    "a circle": {"paths": {"/": {"$ref": "#/paths/~1"}}},
    "a circle of two": {"paths": {"/": {"$ref": "#/a"}}, "a": {"$ref": "#/paths/~1"}},
    "a reference to a file": {"paths": {"/": {"$ref": "file:///etc/passwd"}}},
    "a reference to a URL": {"paths": {"/": {"get": {"requestBody": {"$ref": "http://elsewhere/"}}}}},
    "a reference to nothing": {"paths": {"/": {"get": {"requestBody": {"$ref": "#/components/x"}}}}},
    "a reference into a list": {"paths": {"/": {"$ref": "#/a/0"}}, "a": [1]},
    "a reference that is a number": {"paths": {"/": {"$ref": 7}}},
    "an id that is a number": {"paths": {"/": {"get": {"operationId": 7}}}},
    "an id of signs": {"paths": {"/": {"get": {"operationId": "!!!"}}}},
    "an empty path": {"paths": {"": {"get": {}}}},
    "an operation that is a list": {"paths": {"/": {"get": []}}},
    "an item that is null": {"paths": {"/": None}},
    "a body that is required by a list": {"paths": {"/": {"post": {"requestBody": {"required": []}}}}},
    "extensions": {"paths": {"x-more": {"get": {}}, "/": {"x-get": {}, "summary": "a"}}},
    "two of one id": {"paths": {"/": {"get": {"operationId": "a"}, "post": {"operationId": "a"}}}},
    "dashes in a path": {
        "paths": {"/u/{user-id}": {"get": {"operationId": "a", "parameters": [{"in": "path", "name": "user-id"}]}}}
    },
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_an_odd_document_is_read_as_far_as_it_goes(document: Any) -> None:
    assert len(operations_in(document)) <= 2


@pytest.mark.parametrize(
    "document", [None, 1, "a", [], {}, {"paths": None}, {"paths": []}, {"swagger": "2.0"}], ids=str
)
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="no OpenAPI document"):
        operations_in(document)


@pytest.mark.parametrize("path", ["/u/{user-id}", "/u/{user.id}", "/u/{1}", "/u/{user id}"])
async def test_a_placeholder_as_other_languages_write_it_is_filled(path: str) -> None:
    name = path[4:-1]
    get = {"operationId": "get_user", "parameters": [{"in": "path", "name": name, "required": True}]}
    document = answer(json.dumps({"openapi": "3.1.0", "paths": {path: {"get": get}}}).encode())
    async with raw_peer(document, answer(b"1")) as peer, calling(peer, known=False, of={"trust": "external"}):
        assert await proxy.users.get_user("a-b") == 1
        assert peer.heads[1].startswith(b"GET /u/a-b HTTP/1.1\r\n")


@pytest.mark.parametrize("said", ["internal", "external"])
async def test_a_thousand_calls_of_a_peer_that_never_describes_itself_all_end_in_their_time(said: str) -> None:
    async def never(stream: Any) -> None:
        while True:
            await stream.receive()

    async with raw_peer(never) as peer, calling(peer, known=False, of={"trust": said}):
        calls = [proxy.users.get_user(number).with_timeout(0.5) for number in range(1000)]
        with anyio.fail_after(10):
            ended = await proxy.gather(*calls, concurrency=1000, return_exceptions=True)
        assert {type(one).__name__ for one in ended} <= {"CallTimeout", "CircuitOpen"}
