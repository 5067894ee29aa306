"""Named checks: what counts as failing, how long one may take, how often it is asked, and what is not told."""

import logging
from typing import Any

import anyio
import pytest

import evox.testing
from evox import Service, ServiceBuilder
from evox.errors import InvalidDeclaration
from evox.testing import running

SECRET = "postgresql://root:hunter2@db"


@pytest.fixture
def anyio_backend() -> Any:
    return evox.testing.virtual_trio()


async def ready(svc: Service, path: str = "/health/ready") -> tuple[int, Any]:
    """Return status and checks of a readiness probe."""
    async with running(svc) as env:
        reply = await env.client(svc).get(path)
        return reply.status_code, reply.json().get("checks")


def checked(*results: Any) -> Service:
    """Make a service whose checks return or raise these, named a, b, c ..."""
    svc = ServiceBuilder("a")
    for name, result in zip("abcdef", results, strict=False):

        async def check(result: Any = result) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        svc.health_check(name)(check)
    return svc


@pytest.mark.parametrize("result", [None, True, "fine", 0, {}], ids=repr)
async def test_a_check_passes_unless_it_raises_or_returns_false(result: Any) -> None:
    assert await ready(checked(result)) == (200, {"a": [{"status": "pass"}]})


@pytest.mark.parametrize(
    "result", [False, ValueError("x"), TimeoutError("x"), ExceptionGroup("x", [OSError()])], ids=repr
)
async def test_a_check_that_raises_or_returns_false_fails(result: Any) -> None:
    assert await ready(checked(result)) == (503, {"a": [{"status": "fail"}]})


async def test_one_failing_check_fails_readiness_and_leaves_the_others_as_they_are() -> None:
    checks = {"a": [{"status": "pass"}], "b": [{"status": "fail"}], "c": [{"status": "pass"}]}
    assert await ready(checked(True, False, True)) == (503, checks)


@pytest.mark.parametrize(("path", "status"), [("/health", 503), ("/health/live", 200), ("/health/startup", 200)])
async def test_only_readiness_and_the_overall_probe_ask_checks(path: str, status: int) -> None:
    asked = []

    async def check() -> bool:
        asked.append(1)
        return False

    svc = ServiceBuilder("a")
    svc.health_check("a")(check)
    assert (await ready(svc, path))[0] == status
    assert bool(asked) is (status == 503)


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_what_a_check_raised_goes_to_the_log_and_not_into_the_body(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    svc = checked(ValueError(SECRET))
    async with running(svc) as env:
        reply = await env.client(svc).get(path)
    assert SECRET not in reply.text
    assert "ValueError" not in reply.text
    [record] = [one for one in caplog.records if one.name == "evox.health"]
    assert record.exc_info is not None
    assert "a/a" in record.getMessage()


async def test_a_check_that_takes_too_long_fails_when_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    svc = ServiceBuilder("a")

    @svc.health_check("slow", timeout="3s")
    async def slow() -> None:
        await anyio.sleep_forever()

    async with running(svc) as env:
        began = anyio.current_time()
        reply = await env.client(svc).get("/health/ready", timeout=60)
        took = anyio.current_time() - began
    assert reply.status_code == 503
    assert took == pytest.approx(3.0)
    assert "3 s" in caplog.text


async def test_without_a_timeout_of_its_own_a_check_has_two_seconds() -> None:
    svc = ServiceBuilder("a")
    svc.health_check("slow")(anyio.sleep_forever)
    async with running(svc) as env:
        began = anyio.current_time()
        await env.client(svc).get("/health/ready", timeout=60)
        assert anyio.current_time() - began == pytest.approx(2.0)


async def test_checks_run_side_by_side() -> None:
    svc = ServiceBuilder("a")
    for name in "abc":

        @svc.health_check(name)
        async def slow() -> None:
            await anyio.sleep(1.5)

    async with running(svc) as env:
        began = anyio.current_time()
        assert (await env.client(svc).get("/health/ready", timeout=60)).status_code == 200
        assert anyio.current_time() - began == pytest.approx(1.5)


@pytest.mark.parametrize(("pause", "asked"), [(0.0, 1), (0.9, 1), (1.1, 2)])
@pytest.mark.parametrize("result", [True, False])
async def test_a_result_is_kept_for_a_second(pause: float, asked: int, result: bool) -> None:
    times: list[float] = []

    async def check() -> bool:
        times.append(anyio.current_time())
        return result

    svc = ServiceBuilder("a")
    svc.health_check("a")(check)
    async with running(svc) as env:
        answers = [(await env.client(svc).get("/health/ready")).status_code]
        await anyio.sleep(pause)
        answers.append((await env.client(svc).get("/health")).status_code)
    assert len(times) == asked
    assert answers == [200 if result else 503] * 2


async def test_many_probes_at_once_ask_once() -> None:
    times: list[float] = []

    async def check() -> None:
        times.append(anyio.current_time())
        await anyio.sleep(0.5)

    svc = ServiceBuilder("a")
    svc.health_check("a")(check)
    async with running(svc) as env, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(env.client(svc).get, "/health/ready")
    assert len(times) == 1


async def test_a_check_that_recovers_passes_again() -> None:
    answers = iter([False, True])

    async def check() -> bool:
        return next(answers)

    svc = ServiceBuilder("a")
    svc.health_check("a")(check)
    async with running(svc) as env:
        assert (await env.client(svc).get("/health/ready")).status_code == 503
        await anyio.sleep(2)
        assert (await env.client(svc).get("/health/ready")).status_code == 200


async def test_while_draining_no_check_is_asked() -> None:
    svc = checked(ValueError("asked"))
    async with running(svc) as env:
        env.host(svc).drain()
        reply = await env.client(svc).get("/health/ready")
    assert (reply.status_code, "checks" in reply.json()) == (503, False)


def test_two_checks_of_one_name_are_refused() -> None:
    svc = checked(True)
    with pytest.raises(InvalidDeclaration, match="check of that name"):
        svc.health_check("a")(lambda: True)


@pytest.mark.parametrize("timeout", ["soon", -1, 0, None])
def test_a_timeout_that_does_not_fit_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidDeclaration, match="timeout"):
        ServiceBuilder("a").health_check("a", timeout=timeout)(lambda: True)


async def test_nothing_is_logged_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await ready(checked(True, None))
    assert [one for one in caplog.records if one.name.startswith("evox.health")] == []
