"""PostgreSQL that lets nobody in any more while a service runs: an outage like any other, and no end of the service."""

import contextlib
from collections.abc import Iterator

import anyio
import psycopg
import pytest
from tests import postgres_server

from evox import ServiceBuilder, data_intent, data_io
from evox.data.backends import postgres
from evox.errors import BackendUnavailable
from evox.testing import running

product = data_intent.define("refusing_product", ttl="1h")


@pytest.fixture
def locked_out() -> Iterator[tuple[str, "contextlib.AbstractContextManager[None]"]]:
    """Give the URL of a role, and what locks it out for a block."""
    url = postgres_server.url()
    postgres_server.flush()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS app")
        admin.execute("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'one'")

        @contextlib.contextmanager
        def lock() -> Iterator[None]:
            admin.execute("ALTER ROLE app PASSWORD 'two'")
            # Waits until they are gone: over one that is about to go, a write may still be sent, and be unknown.
            admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'")
            yield
            admin.execute("ALTER ROLE app PASSWORD 'one'")

        host = url.rpartition("@")[2]
        yield f"postgresql://app:one@{host}", lock()
    postgres_server.flush()


async def test_D1_who_is_locked_out_is_told_of_an_outage_and_goes_on_when_it_is_over(
    locked_out: tuple[str, "contextlib.AbstractContextManager[None]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sweep took the service down, and a loader was not asked."""
    monkeypatch.setattr(postgres, "SWEEP", 0.05)
    url, locked = locked_out
    async with running(ServiceBuilder("shop"), settings={"data": {"backend": url}}):
        await data_io.write("record", 1)
        with locked:
            with pytest.raises(BackendUnavailable):
                await data_io.write("record", 2)
            assert await data_io.read(product, "a", loader=lambda: "loaded") == "loaded"
            await anyio.sleep(0.3)  # for the sweep
        assert await data_io.read("record") == 1
