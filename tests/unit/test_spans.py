"""Spans: nothing without a provider, and one that is installed at any time is found."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from timeit import repeat

import pytest
from opentelemetry import trace
from tests.recorded import Recorded, about, recording

from evox import spans
from evox.errors import CallUnavailable

SETUP = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
"""
SERVICE = """
    import anyio, json, logging
    from evox import ServiceBuilder
    from evox.core import proxy
    from evox.testing import running
    svc = ServiceBuilder("shop")
    @svc.get("/leaf")
    async def leaf() -> None: ...
    @svc.get("/")
    async def root() -> None:
        await proxy.shop.leaf()
"""


@pytest.fixture
def told() -> Iterator[Recorded]:
    with recording() as found:
        yield found


def run(*parts: str, env: dict[str, str] | None = None) -> str:
    """Run code in a process of its own, and return what it prints."""
    code = "\n".join(textwrap.dedent(one) for one in parts)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=18, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_without_a_provider_there_is_nothing_to_tell() -> None:
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert spans.tracer() is None
    assert spans.current() is None
    assert spans.begin("a", {}) is None
    assert spans.within("a", {}) is spans.of_task("shop", "tidy") is spans.NOTHING
    with spans.within("a", {}) as span:
        assert span is None
    spans.annotate(None, {"a": 1})


@pytest.mark.parametrize("provider", [trace.NoOpTracerProvider(), trace.ProxyTracerProvider()])
def test_a_provider_that_keeps_nothing_is_none(provider: trace.TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    assert spans.tracer() is None


def test_a_provider_is_found_when_it_comes_and_gone_when_it_goes() -> None:
    for _ in range(2):
        assert spans.tracer() is None
        with recording() as told:
            assert spans.tracer() is not None
            with spans.within("a", {"b": 1}):
                pass
            assert about(told.one("a")) == {"b": 1}
        assert spans.tracer() is None


def test_a_provider_is_found_where_the_variable_of_the_api_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording() as told:
        provider = trace._TRACER_PROVIDER
        assert provider is not None
        monkeypatch.delattr(trace, "_TRACER_PROVIDER")
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
        with spans.within("a", {}):
            pass
        told.one("a")
        monkeypatch.undo()
    assert spans.tracer() is None


def test_to_ask_takes_less_than_a_fifth_of_a_microsecond_more_than_a_function() -> None:
    """In one run beside an empty function, as the machine may be busy: the least of many is compared."""

    def empty() -> None:
        return None

    number = 20_000
    most = min(repeat(spans.tracer, number=number, repeat=20)) - min(repeat(empty, number=number, repeat=20))
    assert most / number < 0.2e-6


def test_an_error_is_told_by_its_type_and_a_failed_call_by_why(told: Recorded) -> None:
    for error in (KeyError("planted"), CallUnavailable("a", "b", why="http://ada:planted@a", may_have_run=False)):
        with pytest.raises(type(error)), spans.within("a", {}):
            raise error
    first, second = told.named("a")
    assert (about(first), first.status.description) == ({"error.type": "KeyError"}, None)
    assert about(second) == {"error.type": "evox.errors.proxy.CallUnavailable"}
    assert second.status.description == "http://***@a"
    assert list(first.events) == list(second.events) == []


def test_what_has_ended_is_left_as_it_is(told: Recorded) -> None:
    span = spans.begin("a", {})
    assert span is not None
    span.end()
    span.end(KeyError())
    span.set({"a": 1})
    spans.annotate(span.span, {"a": 1})
    assert about(told.one("a")) == {}
    assert "Span" in repr(span)


def test_evox_itself_imports_nothing_of_opentelemetry() -> None:
    code = """
        import sys
        from evox import spans
        assert spans.tracer() is None and spans.current() is None and spans.begin("a", {}) is None
        print([one for one in sys.modules if one.startswith("opentelemetry")])
    """
    assert run(code) == "[]\n"


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("when", ["before the import", "after the import", "after the first request"])
def test_a_provider_may_be_set_up_at_any_time(when: str, backend: str) -> None:
    main = f"""
        async def main():
            async with running(svc) as env:
                client = env.client(svc)
                if {when == "after the first request"}:
                    await client.get("/")
                    trace.set_tracer_provider(provider)
                await client.get("/")
            print(json.dumps([one.name for one in kept.get_finished_spans()]))
        anyio.run(main, backend={backend!r})
    """
    install = "trace.set_tracer_provider(provider)"
    if when == "before the import":
        out = run(SETUP, install, SERVICE, main)
    else:
        out = run(SERVICE, SETUP, install if when == "after the import" else "", main)
    assert json.loads(out) == ["evox.proxy shop.leaf", "fastapi.endpoint", "GET /"] or json.loads(out) == [
        *("fastapi.dependencies", "evox.proxy shop.leaf", "fastapi.endpoint", "fastapi.serialization", "GET /"),
    ]


def test_a_provider_that_the_environment_turns_off_is_none() -> None:
    import os

    main = """
        trace.set_tracer_provider(provider)
        from evox import spans
        print(spans.tracer())
    """
    assert run(SETUP, main, env={**os.environ, "OTEL_SDK_DISABLED": "true"}) == "None\n"
