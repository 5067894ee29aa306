"""Intents that cannot be kept: refused at the start wherever they were declared, and before the first use if not."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.valkey_server import ValkeyServer

from evox import Intent, ServiceBuilder, data_intent, data_io
from evox.config import load
from evox.errors import InvalidDeclaration, Place
from evox.failures import describe
from evox.testing import running

# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
STRONG: dict[str, Any] = {"consistency": "strong"}
HERE = __file__


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let what a test leaves to the garbage collector be found in that test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def forgetful() -> Iterator[str]:
    """Return where a server listens that keeps nothing on disk."""
    server = ValkeyServer(appendonly="no").start()
    yield server.url
    server.remove()


def elsewhere(source: str) -> dict[str, Any]:
    """Run code that stands in no folder of a service, so that no start looks at what it declares."""
    made: dict[str, Any] = {}
    exec(compile(f"from evox import data_intent\n{source}", "elsewhere.py", "exec"), made)
    return made


async def refused(settings: dict[str, Any]) -> InvalidDeclaration:
    with pytest.raises(InvalidDeclaration) as caught:
        async with running(ServiceBuilder("shop"), settings=settings):
            pass
    assert caught.value.exit_code == 78
    return caught.value


async def test_D1_strong_of_the_configuration_alone_is_refused_at_the_start_in_memory_of_several_workers() -> None:
    error = await refused({"workers": 2, "data": {"intents": {"bad_intents_session": STRONG}}})
    assert "data.intents.bad_intents_session in running(settings=...)" in error.what


async def test_D1_strong_of_the_configuration_alone_is_refused_at_the_start_on_a_server_that_may_forget(
    forgetful: str,
) -> None:
    settings = {"backend": forgetful, "intents": {"bad_intents_session": STRONG}}
    assert "appendonly" in (await refused({"data": settings})).why


async def test_D1_strong_is_looked_at_where_it_is_kept_and_not_where_the_rest_is(forgetful: str) -> None:
    settings = {"intents": {"bad_intents_session": {**STRONG, "backend": forgetful}}}
    assert "appendonly" in (await refused({"data": settings})).why


async def test_what_the_configuration_says_of_a_type_is_checked_with_what_the_type_says(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    body = "\nclass Kept:\n    def __init__(self, x: int): ..."
    kept = elsewhere(f"@data_intent.cacheable(backend={url!r}, name='bad_intents_type'){body}")
    settings = {"workers": 2, "data": {"intents": {"bad_intents_type": STRONG}}}
    async with running(ServiceBuilder("shop"), settings=settings):
        assert await data_io.read(kept["Kept"], "a") is None


async def test_D1_strong_is_refused_at_its_first_use_though_its_store_is_open_already() -> None:
    settings = {"workers": 2}
    async with running(ServiceBuilder("shop"), settings=settings):
        await data_io.write("a", 1)
        await data_io.read("a")
        strong = elsewhere("made = data_intent.define('bad_intents_late', consistency='strong')")["made"]
        for _ in range(2):  # it does not pass for checked because it was refused
            with pytest.raises(InvalidDeclaration, match="each worker's own, and there are 2"):
                await data_io.write(strong, "a", 1)
            with pytest.raises(InvalidDeclaration, match="each worker's own, and there are 2"):
                await data_io.read(strong, "a")


@pytest.mark.parametrize(
    ("text", "line", "option"),
    [
        ('[data.intents.bad_intents_both]\nttl = "1m"\nconsistency = "strong"\n', 3, "fallback="),
        ("[data.intents.bad_intents_both]\ncacheable = false\n", 2, "fallback="),
        ('[data.intents.bad_intents_both]\neager = 0.5\n\n[data.intents.other]\nmax_stale = "1m"\n', 5, "max_stale="),
    ],
)
async def test_a_contradiction_with_the_configuration_names_its_table_and_its_line(
    text: str, line: int, option: str, tmp_path: Path
) -> None:
    elsewhere("data_intent.define('bad_intents_both', ttl='1m', fallback='aggressive')")
    (tmp_path / "evox.toml").write_text(text, encoding="utf-8")
    loaded = load(tmp_path, environ={})
    error = await refused({"data": {"intents": loaded.settings.data.intents}})
    assert error.place == Place(str(tmp_path / "evox.toml"), line)
    assert option in error.what
    assert "[data.intents." in error.what
    assert "in evox.toml" in error.what


async def test_a_contradiction_with_a_variable_names_the_variable(tmp_path: Path) -> None:
    elsewhere("data_intent.define('bad_intents_env', ttl='1m', fallback='aggressive')")
    loaded = load(tmp_path, environ={"EVOX_DATA__INTENTS__BAD_INTENTS_ENV__CONSISTENCY": "strong"})
    error = await refused({"data": {"intents": loaded.settings.data.intents}})
    assert "EVOX_DATA__INTENTS__BAD_INTENTS_ENV__CONSISTENCY in the environment" in error.what


def of_a_decorator() -> Any:
    return data_intent.cacheable(fallback="nope")


def of_an_endpoint() -> Any:
    return Intent(ttl="soon")


def of_a_name() -> Any:
    return data_intent.define("bad:name")


def of_a_definition() -> Any:
    return data_intent.define("bad_intents_share", eager=2)


def without_parentheses() -> Any:
    return data_intent.cacheable(Place)


DECORATORS = [of_a_decorator, of_an_endpoint, of_a_name, of_a_definition, without_parentheses]


@pytest.mark.parametrize("declares", DECORATORS)
def test_a_decorator_that_does_not_fit_shows_its_own_line(declares: Any) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        declares()
    assert caught.value.place == Place(HERE, declares.__code__.co_firstlineno + 1)
    assert caught.value.fix.endswith("in the line below")
    assert f"test_bad_intents.py:{declares.__code__.co_firstlineno + 1}    return " in describe(caught.value)


async def test_decorators_that_contradict_each_other_are_shown_at_the_nearer() -> None:
    stacked = "@data_intent.cacheable(fallback='aggressive')\n@data_intent.strong_consistency()\nclass Stacked: ..."
    made = elsewhere(stacked)["Stacked"]
    async with running(ServiceBuilder("shop")):
        with pytest.raises(InvalidDeclaration, match="strong is never stale") as caught:
            await data_io.read(made, "a")
    assert caught.value.place == Place("elsewhere.py", 3)


async def test_an_intent_of_no_name_is_told_of_those_there_are_in_code_too() -> None:
    data_intent.define("bad_intents_profile", ttl="1m")
    async with running(ServiceBuilder("shop"), settings={"data": {"intents": {"session": {"ttl": "1m"}}}}):
        with pytest.raises(InvalidDeclaration) as caught:
            await data_io.read("bad_intents_profil", "a")
    assert "bad_intents_profile" in caught.value.why
    assert "session" in caught.value.why
    assert caught.value.fix.startswith("write 'bad_intents_profile' instead")
    assert "test_bad_intents.py" in describe(caught.value)
