"""`inject.config(name)`: one of the user's own sections, checked when the service starts, and never shown."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from evox import ServiceBuilder, inject
from evox.errors import InvalidOption, StartupError
from evox.services import ConfigSection
from evox.testing import running

SECRET = "hunter2-and-more"
USER = {"limit": 3, "token": SECRET, "db": {"host": "here", "password": SECRET}}


class Db(BaseModel):
    host: str
    password: SecretStr


class User(BaseModel):
    limit: int = Field(ge=1)
    token: SecretStr
    db: Db


class Limits(BaseModel):
    limit: int


class NeedsConfig:
    def __init__(self, user: Annotated[ConfigSection, inject.config("user")]) -> None:
        self.limit = user.limit


def settings(**user: Any) -> dict[str, Any]:
    return {"config": {"user": {**USER, **user}}}


async def section(name: str = "user", *, values: dict[str, Any] | None = None) -> ConfigSection:
    """Return what a running service gives for a section."""
    async with running(ServiceBuilder("a"), settings=settings() if values is None else values):
        return inject.config(name)


async def test_a_section_is_a_mapping() -> None:
    user = await section()
    assert isinstance(user, Mapping)
    assert (user["limit"], user.get("none", 7), len(user), list(user)) == (3, 7, 3, ["limit", "token", "db"])


async def test_the_keys_of_a_section_are_attributes_at_every_depth() -> None:
    user = await section()
    assert (user.limit, user.db.host, user["db"]["host"]) == (3, "here", "here")


async def test_a_key_that_is_not_there_is_named_with_those_that_are() -> None:
    user = await section()
    with pytest.raises(AttributeError, match=r"'user' has no 'lim'; it has: limit, token, db"):
        user.lim  # noqa: B018
    with pytest.raises(AttributeError, match=r"'user\.db' has no 'port'"):
        user.db.port  # noqa: B018
    with pytest.raises(KeyError):
        user["lim"]


async def test_a_section_that_nobody_wrote_is_empty() -> None:
    assert dict(await section("nobody")) == {}


async def test_a_section_can_be_copied() -> None:
    user = await section()
    assert copy.deepcopy(user) == user == copy.copy(user)


@pytest.mark.parametrize("write", [repr, str, lambda user: f"{user}", lambda user: repr(user.db)])
async def test_no_value_is_in_the_text_of_a_section(write: Any) -> None:
    text = write(await section())
    assert SECRET not in text
    assert "here" not in text


async def test_no_value_is_in_the_text_of_what_holds_it() -> None:
    svc = ServiceBuilder("a").config("user", User)
    async with running(svc, settings=settings()) as env:
        held = env.service(svc)
        inject.config("user")
        texts = [repr(one) for one in (env, held, held.runtime, held.statistics(), inject, svc)]
    assert [text for text in texts if SECRET in text] == []


async def test_a_model_given_at_the_call_validates_the_section() -> None:
    async with running(ServiceBuilder("a"), settings=settings()):
        user = inject.config("user", User)
        assert (user.limit, user.token.get_secret_value(), user.db.host) == (3, SECRET, "here")
        assert inject.config("user", User) is user
        assert inject.config("user", Limits) == Limits(limit=3)


async def test_a_declared_model_is_what_inject_config_gives() -> None:
    svc = ServiceBuilder("a").config("user", User)

    @svc.get("/limit")
    def limit(user: Annotated[User, inject.config("user")]) -> int:
        return user.limit

    async with running(svc, settings=settings()) as env:
        assert (await env.client(svc).get("/limit")).json() == 3


async def test_a_constructor_is_given_a_section() -> None:
    async with running(ServiceBuilder("a"), settings=settings()):
        assert inject(NeedsConfig).limit == 3


@pytest.mark.parametrize(
    ("user", "option"),
    [
        ({"limit": SECRET}, "config.user.limit"),
        ({"limit": 0}, "config.user.limit"),
        ({"db": {"host": "here"}}, "config.user.db.password"),
        ({"db": SECRET}, "config.user.db"),
        ({"token": None}, "config.user.token"),
    ],
)
async def test_a_value_that_does_not_fit_the_declared_model_is_a_start_up_error_that_names_it(
    user: dict[str, Any], option: str
) -> None:
    svc, started = ServiceBuilder("a").config("user", User), list[str]()
    svc.on_startup(lambda: started.append("hook"))
    with pytest.raises(InvalidOption) as caught:
        async with running(svc, settings=settings(**user)):
            pass
    assert repr(option) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert started == []


async def test_a_section_missing_altogether_is_a_start_up_error_too() -> None:
    with pytest.raises((InvalidOption, StartupError), match=r"config\.user\.limit"):
        async with running(ServiceBuilder("a").config("user", User)):
            pass


async def test_a_value_that_does_not_fit_the_model_of_a_call_is_an_error_there() -> None:
    async with running(ServiceBuilder("a"), settings=settings(limit="many")):
        with pytest.raises(InvalidOption, match=r"config\.user\.limit"):
            inject.config("user", Limits)


async def test_a_config_toml_beside_the_service_is_read_and_the_project_wins(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[user]\nlimit = 1\nname = "beside"\n[user.db]\nhost = "b"\nport = 5\n')
    code = compile('from evox import service\nsvc = service("a")\n', str(tmp_path / "user_svc.py"), "exec")
    namespace: dict[str, Any] = {"__name__": "user_svc"}
    exec(code, namespace)
    async with running(namespace["svc"], settings=settings()):
        user = inject.config("user")
        assert (user.limit, user.name, user.db.host, user.db.port) == (3, "beside", "here", 5)
