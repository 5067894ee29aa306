"""D6: what is said of a kept answer: Cache-Status, Age, Cache-Control, Vary, ETag, and 304 to those who have it."""

from typing import Annotated, Any

import pytest
from tests.lanes import running

from evox import Depends, Header, HTTPException, Intent, Request, Response, ServiceBuilder

ETAG = '"a,b/c"'


def shop() -> Any:
    svc = ServiceBuilder("shop")

    @svc.get("/price", cache="1m")
    async def price() -> dict[str, int]:
        return {"price": 300}

    @svc.get("/tagged", cache="1m")
    async def tagged(response: Response) -> str:
        response.headers["etag"] = ETAG
        response.headers["cache-control"] = "max-age=5"
        response.headers["content-language"] = "en"
        return "tagged"

    @svc.get("/spoken", cache="1m")
    async def spoken(response: Response, accept_language: Annotated[str, Header()] = "en") -> str:
        response.headers["vary"] = "Accept-Encoding"
        return accept_language

    Intent(vary_on=["accept_language"])(spoken)

    async def user(x_user: Annotated[str, Header()]) -> str:
        return x_user

    @svc.get("/mine", cache="1m")
    @Intent(vary_on=["name"])
    async def mine(name: Annotated[str, Depends(user)]) -> str:
        return name

    @svc.get("/missing", cache="1m")
    @Intent(negative_ttl="1m")
    async def missing() -> None:
        raise HTTPException(404, "no such thing")

    @svc.get("/mine/missing", cache="1m")
    @Intent(vary_on=["name"], negative_ttl="1m")
    async def none_of_mine(name: Annotated[str, Depends(user)]) -> None:
        raise HTTPException(404, f"no such thing of {name}")

    return svc


async def test_D6_the_same_is_said_of_an_answer_whether_it_was_made_or_kept() -> None:
    svc = shop()
    async with running(svc) as env:
        client = env.client(svc)
        made, kept = await client.get("/price"), await client.get("/price")
        assert made.headers["cache-status"] == "evox; fwd=uri-miss; stored"
        assert kept.headers["cache-status"] == "evox; hit; ttl=60"
        assert ("age" in made.headers, kept.headers["age"]) == (False, "0")
        for name in ("etag", "cache-control", "content-type", "content-length"):
            assert made.headers[name] == kept.headers[name]
        assert kept.headers["cache-control"] == "max-age=0, must-revalidate"
        assert (made.content, made.status_code) == (kept.content, kept.status_code)


async def test_D6_what_a_handler_says_itself_is_left_as_it_is() -> None:
    svc = shop()
    async with running(svc) as env:
        client = env.client(svc)
        for _ in range(2):
            headers = (await client.get("/tagged")).headers
            assert (headers["etag"], headers["cache-control"]) == (ETAG, "max-age=5")


async def test_D6_what_dependencies_guard_is_private() -> None:
    svc = shop()
    async with running(svc) as env:
        answer = await env.client(svc).get("/mine", headers={"x-user": "ada"})
        assert answer.headers["cache-control"] == "private, max-age=0, must-revalidate"


async def test_D6_caches_on_the_way_are_told_what_an_answer_varies_by() -> None:
    svc = shop()
    async with running(svc) as env:
        client = env.client(svc)
        for language in ("en", "de", "en"):
            answer = await client.get("/spoken", headers={"accept-language": language})
            assert answer.json() == language
            assert answer.headers["vary"] == "Accept-Encoding, accept-language"


@pytest.mark.parametrize(
    "asked", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', f'"x,y" , W/{ETAG},"z"', "*"], ids=["it", "weak", "list", "all", "any"]
)
async def test_D6_who_has_an_answer_is_told_so(asked: str) -> None:
    svc = shop()
    async with running(svc) as env:
        client = env.client(svc)
        for status in ("fwd=uri-miss; stored", "hit; ttl=60"):
            answer = await client.get("/tagged", headers={"if-none-match": asked})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["cache-status"] == f"evox; {status}"
            assert (answer.headers["etag"], answer.headers["cache-control"]) == (ETAG, "max-age=5")
            assert not {"content-type", "content-length", "content-language"} & set(answer.headers)


@pytest.mark.parametrize("asked", ['"x"', '"a"', '"a,b"', 'W/"x"', "a,b/c", ""])
async def test_D6_who_has_another_is_given_the_whole(asked: str) -> None:
    svc = shop()
    async with running(svc) as env:
        client = env.client(svc)
        for _ in range(2):
            answer = await client.get("/tagged", headers={"if-none-match": asked})
            assert (answer.status_code, answer.json()) == (200, "tagged")


@pytest.mark.usefixtures("http1")
async def test_D6_the_etag_that_is_given_is_one_that_can_be_asked_with_over_real_sockets() -> None:
    svc = shop()
    async with running(svc, sockets=True) as env:
        client = env.client(svc)
        etag = (await client.get("/price")).headers["etag"]
        answer = await client.get("/price", headers={"if-none-match": etag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert (await client.get("/price")).json() == {"price": 300}


async def test_D6_that_there_is_none_is_kept_where_that_is_asked_for_and_never_304() -> None:
    svc = shop()
    async with running(svc) as env:
        client = env.client(svc)
        for is_kept in (False, True):
            for path, why, detail in (
                ("/missing", "uri-miss", "no such thing"),
                ("/mine/missing", "miss", "no such thing of ada"),
            ):
                status = "hit; ttl=60" if is_kept else f"fwd={why}; stored"
                answer = await client.get(path, headers={"if-none-match": "*", "x-user": "ada"})
                assert (answer.status_code, answer.json()) == (404, {"detail": detail})
                assert answer.headers["cache-status"] == f"evox; {status}"


async def test_D6_an_apps_own_page_for_what_is_not_there_is_kept_too() -> None:
    svc = shop()

    async def page(request: Request, error: Exception) -> Response:
        del request, error
        return Response("nothing here", 404)

    svc.app.add_exception_handler(404, page)
    async with running(svc) as env:
        client = env.client(svc)
        for status in ("fwd=uri-miss; stored", "hit; ttl=60"):
            answer = await client.get("/missing")
            assert (answer.text, answer.headers["cache-status"]) == ("nothing here", f"evox; {status}")
