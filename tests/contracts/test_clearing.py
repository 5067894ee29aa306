"""Clearing: what an operator takes away, by key, path, prefix and tag, over every backend."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from tests import postgres_server, valkey_server
from tests.contracts.backends import KINDS

from evox import Intent, ServiceBuilder, data_intent, data_io
from evox.services.clearing import Cleared, Selection, clear, names_of
from evox.testing import running

pytestmark = pytest.mark.timeout(60)


@data_intent.cacheable(ttl="1h", name="cleared_profile")
class Profile(BaseModel):
    id: str


def shop() -> ServiceBuilder:
    svc = ServiceBuilder("shop")

    @svc.get("/items/{item}")
    @Intent(cacheable=True, ttl=600)
    async def item(item: str, colour: str = "") -> dict[str, str]:
        return {"item": item, "colour": colour}

    return svc


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    kind = request.param
    if kind == "memory":
        return {}
    if kind == "sqlite":
        return {"data": {"backend": f"sqlite:///{tmp_path}/store.db"}}
    server = valkey_server if kind == "valkey" else postgres_server
    server.flush()
    return {"data": {"backend": server.url()}}


async def fill(env: Any) -> None:
    await data_io.write("user:1", "a record")
    await data_io.write("user:2", "a copy", ttl=600, tags=["people"])
    await data_io.write("user:3", "another", ttl=600, tags=["people", "new"])
    await data_io.write(Profile, "user:2", Profile(id="user:2"))
    client = env.client("shop")
    for path in ("/items/1", "/items/1?colour=red", "/items/2"):
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("selection", "number", "left"),
    [
        ({"key": "user:2"}, 2, {"user:1", "user:3", "1", "1 red", "2"}),
        ({"key": "user:2", "of": "cleared_profile"}, 1, {"user:1", "user:2", "user:3", "1", "1 red", "2"}),
        ({"key": "user:1"}, 0, {"user:1", "user:2", "user:3", "profile", "1", "1 red", "2"}),
        ({"prefix": "user:"}, 3, {"user:1", "1", "1 red", "2"}),
        ({"tag": "people"}, 2, {"user:1", "profile", "1", "1 red", "2"}),
        ({"key": "/items/1"}, 2, {"user:1", "user:2", "user:3", "profile", "2"}),
        ({"key": "/items/1?colour=blue"}, 2, {"user:1", "user:2", "user:3", "profile", "2"}),
        ({"key": "/items/%31"}, 2, {"user:1", "user:2", "user:3", "profile", "2"}),
        ({"key": "/items/1/"}, 2, {"user:1", "user:2", "user:3", "profile", "2"}),
        ({"prefix": "/items"}, 3, {"user:1", "user:2", "user:3", "profile"}),
        ({"everything": True}, 6, {"user:1"}),
        ({"prefix": "user:", "of": "nothing"}, 0, {"user:1", "user:2", "user:3", "profile", "1", "1 red", "2"}),
    ],
    ids=lambda one: ",".join(f"{k}={v}" for k, v in one.items()) if isinstance(one, dict) else "",
)
async def test_D10_what_is_named_is_counted_and_then_taken_away(
    settings: dict[str, Any], selection: dict[str, Any], number: int, left: set[str]
) -> None:
    svc = shop()
    async with running(svc, settings=settings) as env:
        await fill(env)
        io = env.observation.scope.lives[0].data
        chosen = Selection(**selection)
        counted = Cleared(number, number if settings else 0)
        assert await clear(io, chosen, dry_run=True) == counted
        assert await clear(io, chosen, dry_run=True) == counted
        assert await clear(io, chosen) == Cleared(number)
        assert await clear(io, chosen) == Cleared()
        assert await clear(io, chosen, dry_run=True) == Cleared()
        found = {name for name in ("user:1", "user:2", "user:3") if await data_io.read(name) is not None}
        if await data_io.read(Profile, "user:2") is not None:
            found.add("profile")
        for path in ("/items/1", "/items/1?colour=red", "/items/2"):
            answer = await env.client("shop").get(path)
            if "hit" in answer.headers["cache-status"]:
                found.add(" ".join(answer.json().values()).strip())
        assert found == left


async def test_who_wants_to_know_of_invalidations_is_told() -> None:
    svc, told = shop(), []

    @data_io.on("invalidated", Profile)
    async def on_invalidated(event: Any) -> None:
        told.append((event.key, event.prefix))

    async with running(svc) as env:
        await fill(env)
        await clear(env.observation.scope.lives[0].data, Selection(key="user:2"))
        await clear(env.observation.scope.lives[0].data, Selection(key="user:2"))
    assert told == [("user:2", None)]


async def test_types_that_can_be_named_are_those_declared() -> None:
    svc = shop()
    async with running(svc) as env:
        assert "cleared_profile" in names_of(env.observation.scope.lives[0].data)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"key": "a", "tag": "b"},
        {"key": ""},
        {"prefix": ""},
        {"tag": "a\nb"},
        {"key": "a\0"},
        {"tag": "a", "of": "b"},
        {"everything": True, "of": "b"},
        {"key": "a" * 2000},
        {"all": True},
    ],
    ids=str,
)
def test_what_names_nothing_or_two_things_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Selection(**wrong)
