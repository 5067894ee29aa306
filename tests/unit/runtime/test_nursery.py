"""Jobs: children of the service that outlive whoever started them, fail alone, and are waited for."""

import logging
import threading
from functools import partial

import anyio
import pytest

from evox.events import Event, TaskFinished, observe
from evox.runtime import Nursery


def nursery_in(group: anyio.abc.TaskGroup) -> Nursery:
    return Nursery(group, "users", threads=anyio.CapacityLimiter(4))


async def fail() -> None:
    await anyio.lowlevel.checkpoint()
    raise ValueError("the real error")


async def test_a_job_outlives_the_task_that_started_it() -> None:
    gate, done = anyio.Event(), anyio.Event()

    async def job() -> None:
        await gate.wait()
        done.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as service:
            nursery = nursery_in(service)
            with anyio.CancelScope() as request:
                async with anyio.create_task_group() as handler:
                    handler.start_soon(anyio.lowlevel.checkpoint)
                    nursery.start_soon(job)
                    request.cancel()
            assert not done.is_set()
            gate.set()
            await done.wait()


async def test_starting_a_job_does_not_wait_for_it_and_hands_it_its_arguments() -> None:
    got: list[tuple[int, str]] = []

    async def job(number: int, text: str) -> None:
        got.append((number, text))

    async with anyio.create_task_group() as service:
        nursery_in(service).start_soon(job, 1, "x")
        assert got == []
    assert got == [(1, "x")]


async def test_a_sync_job_runs_in_a_thread() -> None:
    seen: list[bool] = []
    async with anyio.create_task_group() as service:
        nursery_in(service).start_soon(lambda: seen.append(threading.current_thread() is threading.main_thread()))
    assert seen == [False]


async def test_the_error_of_a_job_is_logged_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []
    token = observe(seen.append)
    with caplog.at_level(logging.ERROR, "evox.jobs"):
        async with anyio.create_task_group() as service:
            nursery = nursery_in(service)
            nursery.start_soon(fail, name="mail")
    token.var.reset(token)
    (event,) = seen
    assert isinstance(event, TaskFinished)
    assert (event.service, event.task, repr(event.error)) == ("users", "mail", repr(ValueError("the real error")))
    assert [record.getMessage() for record in caplog.records] == ["job users/mail failed"]
    assert (nursery.statistics().finished, nursery.statistics().failed) == (0, 1)


async def test_a_failing_job_harms_neither_its_siblings_nor_its_service() -> None:
    gate = anyio.Event()
    done: list[str] = []

    async def sibling() -> None:
        await gate.wait()
        done.append("sibling")

    async with anyio.create_task_group() as service:
        nursery = nursery_in(service)
        nursery.start_soon(sibling)
        nursery.start_soon(fail)
        await anyio.wait_all_tasks_blocked()
        gate.set()
        await nursery.wait_idle()
        done.append("service")
    assert done == ["sibling", "service"]


async def test_what_on_error_raises_ends_the_service() -> None:
    def refuse(error: Exception) -> None:
        raise error

    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as service:
            Nursery(service, "users", threads=anyio.CapacityLimiter(1), on_error=refuse).start_soon(fail)
    assert [repr(error) for error in caught.value.exceptions] == [repr(ValueError("the real error"))]


async def test_waiting_for_idle_returns_at_once_when_no_job_runs() -> None:
    async with anyio.create_task_group() as service:
        with anyio.fail_after(5):
            await nursery_in(service).wait_idle()


async def test_waiting_for_idle_waits_for_every_job_even_for_those_that_jobs_start() -> None:
    done: list[str] = []

    async with anyio.create_task_group() as service:
        nursery = nursery_in(service)

        async def first() -> None:
            await anyio.lowlevel.checkpoint()
            nursery.start_soon(second)
            done.append("first")

        async def second() -> None:
            await anyio.lowlevel.checkpoint()
            done.append("second")

        nursery.start_soon(first)
        with anyio.fail_after(5):
            await nursery.wait_idle()
        assert done == ["first", "second"]


async def test_two_can_wait_for_idle() -> None:
    """Each who waits is woken, not only the last who came."""
    gate = anyio.Event()
    with anyio.move_on_after(2) as hung:
        async with anyio.create_task_group() as service:
            nursery = nursery_in(service)
            nursery.start_soon(gate.wait)
            await anyio.wait_all_tasks_blocked()
            service.start_soon(nursery.wait_idle)
            service.start_soon(nursery.wait_idle)
            await anyio.wait_all_tasks_blocked()
            gate.set()
    assert not hung.cancelled_caught


async def test_cancelling_ends_the_jobs_and_names_them() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as service:
            nursery = nursery_in(service)
            nursery.start_soon(anyio.sleep_forever, name="a")
            nursery.start_soon(anyio.sleep_forever, name="b")
            await anyio.wait_all_tasks_blocked()
            assert nursery.cancel() == ["a", "b"]
            await nursery.wait_idle()
    assert nursery.statistics().running == ()


async def test_cancelling_reaches_a_job_that_has_not_begun() -> None:
    with anyio.move_on_after(2) as hung:
        async with anyio.create_task_group() as service:
            nursery = nursery_in(service)
            nursery.start_soon(anyio.sleep_forever, name="a")
            assert nursery.cancel() == ["a"]
            await nursery.wait_idle()
    assert not hung.cancelled_caught


async def test_cancelling_the_jobs_leaves_the_service_running() -> None:
    async with anyio.create_task_group() as service:
        nursery = nursery_in(service)
        nursery.start_soon(anyio.sleep_forever)
        await anyio.wait_all_tasks_blocked()
        nursery.cancel()
        await nursery.wait_idle()
        assert not service.cancel_scope.cancel_called


async def test_statistics_name_what_runs_by_function_or_by_name() -> None:
    async def send_mail() -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as service:
        nursery = nursery_in(service)
        nursery.start_soon(send_mail)
        nursery.start_soon(send_mail, name="second")
        first, second = nursery.statistics().running
        assert first.endswith("send_mail")
        assert second == "second"
        assert repr(nursery) == "<Nursery 'users', 2 running>"
        service.cancel_scope.cancel()


async def test_a_job_is_a_task_named_for_its_service() -> None:
    async with anyio.create_task_group() as service:
        nursery_in(service).start_soon(anyio.sleep_forever, name="mail")
        await anyio.wait_all_tasks_blocked()
        names = [task.name for task in anyio.get_running_tasks()]
        service.cancel_scope.cancel()
    assert "svc:users/job:mail" in names


async def test_what_a_job_is_called_with_is_no_part_of_its_name() -> None:
    class Sender:
        def __repr__(self) -> str:
            return "Sender(hunter2)"

        async def __call__(self, *_: str) -> None:
            await anyio.sleep_forever()

    async def send(*_: str) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        nursery = Nursery(group, "users", threads=anyio.CapacityLimiter(4))
        nursery.start_soon(partial(partial(send, "hunter2"), "hunter3"))
        nursery.start_soon(Sender())
        names = nursery.statistics().running
        assert [one.rpartition(".")[2] for one in names] == ["send", "Sender"]
        group.cancel_scope.cancel()
