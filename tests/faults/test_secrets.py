"""A URL that is wrong in any way: what is shown of it, and logged about it, never holds its password."""

import gc
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from evox import EvoxError, ServiceBuilder, data_intent, inject
from evox.config import load
from evox.data.backends.postgres_connection import connect
from evox.errors import BackendRefused, BackendUnavailable, InvalidDeclaration, InvalidOption
from evox.testing import running

SECRET = "s3cr3t"
HOST = "127.0.0.1:1"
UNREADABLE = [  # said by our own configuration
    f"postgresql://u:{SECRET}%zz@{HOST}/x",
    f"postgresql://u:{SECRET}%00@{HOST}/x",
    f"postgresql://u:my {SECRET}@{HOST}/x",
    f"postgresql://u:{SECRET}/x@{HOST}/x",
    f"postgresql://u:{SECRET}@127.0.0.1:bad/x",
    f"postgresql://{HOST}/x?password={SECRET}%zz",
    f"postgresql://u:{SECRET}/x",
    f"valkey://:{SECRET}/0",
    f"valkey://:{SECRET}@127.0.0.1:99999/0",
    f"mysql://u:{SECRET}@{HOST}/x",
    f"u:{SECRET}@{HOST}",
]
REFUSED = [  # said by libpq, which repeats what it cannot read
    f"postgresql://u:{SECRET}@[::1]x/x",
    f"postgresql://u:{SECRET}@{HOST}/x?pwd={SECRET}",
    f"postgresql://u:{SECRET}@{HOST}/x?sslmode",
    f"postgresql://u:{SECRET}@{HOST}/x?sslmode=bad",
    f"postgresql://u:{SECRET}@{HOST}/x?port=bad",
    f"postgresql://u:{SECRET}@{HOST}/x?keepalives=bad",
    f"postgresql://u:{SECRET}@127.0.0.1:99999/x",
    f"postgresql://{HOST}/x?password={SECRET}=",
    f"postgresql://{HOST}/x?options=-c%20a={SECRET}",
]
UNAVAILABLE = [
    f"postgresql://u:{SECRET}@{HOST}/x",
    f"postgresql://{HOST}/x?user=u&password={SECRET}",
    f"valkey://:{SECRET}@{HOST}/0",
    f"valkey://:{SECRET}%zz@{HOST}/0",
    f"valkey://{HOST}/0?password={SECRET}",
    f"valkey://u:{SECRET}@{HOST}/0?pwd={SECRET}",
]
# coredis leaves a connection's queues as they are when it cannot connect; no descriptor is lost by that.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield
    gc.collect()  # what is left to the garbage collector is to be found in this test
    assert SECRET not in caplog.text


async def shown(where: str, url: str, kind: type[EvoxError]) -> str:
    """Return all that is displayed of the error to which a URL leads, its causes included."""

    async def use() -> None:
        async with running(ServiceBuilder("shop"), settings={"data": {where: url, "timeout": 1}}) as env:
            assert SECRET not in repr(env) + repr(inject.db())
            await inject.db().execute("SELECT 1")

    with pytest.raises(kind) as caught:
        await use()
    return "".join(traceback.format_exception(caught.value)) + repr(caught.value)


@pytest.mark.parametrize("where", ["backend", "database"])
@pytest.mark.parametrize("url", UNREADABLE)
async def test_a_url_that_cannot_be_read(where: str, url: str) -> None:
    # libpq's error held the password up to the % that is none, and inject.db() raised it as it was.
    assert SECRET not in await shown(where, url, InvalidOption)


@pytest.mark.parametrize("where", ["backend", "database"])
@pytest.mark.parametrize("url", REFUSED)
async def test_a_url_that_postgresql_refuses(where: str, url: str) -> None:
    assert SECRET not in await shown(where, url, BackendRefused)


@pytest.mark.parametrize("url", UNAVAILABLE)
async def test_a_server_that_is_not_there(url: str) -> None:
    where = "database" if url.startswith("postgresql") else "backend"
    assert SECRET not in await shown("backend", url, BackendUnavailable) + await shown(where, url, BackendUnavailable)


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_in_a_file_or_the_environment(url: str, tmp_path: Path) -> None:
    (tmp_path / "evox.toml").write_text(f'[data]\nbackend = "{url}"\n')
    with pytest.raises(InvalidOption) as caught:
        load(tmp_path, environ={})
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    (tmp_path / "evox.toml").unlink()
    with pytest.raises(InvalidOption) as caught:
        load(tmp_path, environ={"EVOX_DATA__BACKEND": url})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_of_an_intent(url: str) -> None:
    with pytest.raises(InvalidDeclaration) as caught:
        data_intent.define("secrets_elsewhere", backend=url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("token", ["%zz", "%", "%4", "%00"])
async def test_a_percent_sign_in_a_password_is_said_to_be_written_as_25(token: str) -> None:
    url = f"postgresql://u:{SECRET}{token}@{HOST}/x"
    assert "%25 for %" in await shown("backend", url, InvalidOption)
    with pytest.raises(BackendRefused, match="%25 for %") as caught:  # as libpq takes it, whoever has looked before
        await connect(url, timeout=1)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
