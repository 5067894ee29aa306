"""Poller: who is asked, how often, and what becomes of those that come and go. In virtual time where it can be."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.unit.observe.manager.snapshots import call, said, snap

from evox.observe.asking import TIMEOUT, CannotSee, Source
from evox.observe.directory import Note
from evox.observe.forms import Snapshot
from evox.observe.manager.history import History
from evox.observe.manager.instances import Instances
from evox.observe.manager.poller import LOOK, SLOWER, Poller
from evox.observe.manager.series import Sample
from evox.testing import run_virtual

Answer = Callable[[], Awaitable[Snapshot]]


class Simulated(Source):
    """A process that answers what a test says, after as long as it says."""

    def __init__(self, name: str, answer: Answer | None = None, *, takes: float = 0.01) -> None:
        super().__init__(name, url="http://127.0.0.1:1")
        self.answer, self.takes = answer, takes
        self.asked: list[float] = []
        self.closed = False

    async def snapshot(self) -> Snapshot:
        self.asked.append(anyio.current_time())
        await anyio.sleep(min(self.takes, TIMEOUT))
        if self.takes > TIMEOUT:
            raise CannotSee("it gave no answer within 2 s")
        if self.answer is not None:
            return await self.answer()
        return snap(self.name, anyio.current_time() % 1e6, calls=[call(len(self.asked) * 10)])

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()


async def refuses() -> Snapshot:
    raise CannotSee("it cannot be reached")


async def poll(poller: Poller, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await poller.run()


def test_each_process_is_asked_once_a_second_and_a_slow_one_delays_no_other() -> None:
    async def main() -> None:
        quick, slow, dead = Simulated("quick"), Simulated("slow", takes=1.9), Simulated("dead", takes=math.inf)
        known = Instances()
        await poll(Poller(known, None, [quick, slow, dead], look=None), 20.5)
        assert len(quick.asked) == 21
        assert all(0.99 < later - earlier < 1.01 for earlier, later in zip(quick.asked, quick.asked[1:], strict=False))
        assert len(slow.asked) == 11
        assert [one.trouble != "" for one in known] == [False, False, True]

    run_virtual(main)


def test_50_processes_are_all_asked_on_time_whatever_some_of_them_do() -> None:
    async def main() -> None:
        kinds: list[dict[str, Any]] = [{}, {"takes": 1.5}, {"takes": math.inf}, {"answer": refuses}, {"takes": 0.2}]
        sources = [Simulated(str(number), **kinds[number % 5]) for number in range(50)]
        known = Instances()
        began = anyio.current_time()
        await poll(Poller(known, None, sources, look=None), 60.5)
        assert [len(source.asked) for source in sources] == [61, 41, 10, 10, 61] * 10
        assert {source.asked[0] for source in sources} == {began}
        assert sum(one.seen(anyio.current_time()) == "up" for one in known) == 30
        assert all(source.closed for source in sources)

    run_virtual(main)


def test_who_does_not_answer_is_asked_less_often_and_at_once_as_often_when_it_does() -> None:
    async def main() -> None:
        source = Simulated("it", refuses)
        known = Instances()
        async with anyio.create_task_group() as group:
            group.start_soon(Poller(known, None, [source], look=None).run)
            await anyio.sleep(120)
            gaps = [later - earlier for earlier, later in zip(source.asked, source.asked[1:], strict=False)]
            assert gaps == sorted(gaps)
            assert gaps[-1] == pytest.approx(SLOWER)
            source.answer = None
            await anyio.sleep(SLOWER + 0.1)
            count = len(source.asked)
            await anyio.sleep(5)
            assert len(source.asked) == count + 5
            assert [one.seen(anyio.current_time()) for one in known] == ["up"]
            group.cancel_scope.cancel()

    run_virtual(main)


def note(name: str) -> Note:
    return Note(1, f"/nowhere/{name}.sock", "/", 1.0)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> dict[str, Simulated]:
    """Return who is found in the directory, by name; a test adds and removes."""
    present: dict[str, Simulated] = {}

    async def here(function: Callable[..., Any]) -> Any:
        return function()

    def of(found: Note) -> Source:
        return present[found.socket.rpartition("/")[2].removesuffix(".sock")]

    monkeypatch.setattr(anyio.to_thread, "run_sync", here)  # a thread's time is real
    monkeypatch.setattr(Source, "of", of)
    return present


def test_who_comes_is_found_and_who_leaves_is_gone_and_its_connections_are_closed(
    directory: dict[str, Simulated],
) -> None:
    """Connections to processes that had left were never closed."""

    async def main() -> None:
        known = Instances()
        first, again = Simulated("first"), Simulated("again")
        async with anyio.create_task_group() as group:
            group.start_soon(Poller(known, None, look=lambda: [note(name) for name in directory]).run)
            await anyio.sleep(5)
            assert len(known) == 0
            directory["a"] = first
            await anyio.sleep(LOOK + 0.1)
            assert [one.seen(anyio.current_time()) for one in known] == ["up"]
            del directory["a"]
            await anyio.sleep(LOOK + 0.1)
            assert [one.seen(anyio.current_time()) for one in known] == ["gone"]
            assert first.closed
            count = len(first.asked)
            directory["b"] = again
            await anyio.sleep(30)
            assert len(first.asked) == count
            assert [one.seen(anyio.current_time()) for one in known] == ["gone", "up"]
            group.cancel_scope.cancel()
        assert again.closed

    run_virtual(main)


def test_who_leaves_while_it_is_being_asked_is_gone(directory: dict[str, Simulated]) -> None:
    async def main() -> None:
        known = Instances()
        directory["a"] = hangs = Simulated("a", takes=1.99)
        async with anyio.create_task_group() as group:
            group.start_soon(Poller(known, None, look=lambda: [note(name) for name in directory]).run)
            await anyio.sleep(LOOK + 0.5)
            assert len(hangs.asked) == 2
            del directory["a"]
            await anyio.sleep(LOOK)
            assert hangs.closed
            assert [one.seen(anyio.current_time()) for one in known] == ["gone"]
            group.cancel_scope.cancel()

    run_virtual(main)


@pytest.mark.parametrize("answers", [True, False])
def test_who_leaves_in_the_moment_of_its_answer_is_gone_and_stays_so(
    answers: bool, directory: dict[str, Simulated]
) -> None:
    """An answer, or a connection refused, that was on its way made a process that was unseen, or up, for ever."""

    async def main() -> None:
        known = Instances()

        async def late() -> Snapshot:
            with anyio.CancelScope(shield=True):  # stands for an answer that is there when who asks is cancelled
                await anyio.sleep(LOOK)
            if answers:
                return snap("a")
            return await refuses()

        directory["a"] = Simulated("a")
        async with anyio.create_task_group() as group:
            group.start_soon(Poller(known, None, look=lambda: [note(name) for name in directory]).run)
            await anyio.sleep(0.5)
            directory["a"].answer = late
            await anyio.sleep(LOOK - 0.6)
            del directory["a"]
            await anyio.sleep(3 * LOOK)
            assert [one.seen(anyio.current_time()) for one in known] == ["gone"]
            group.cancel_scope.cancel()

    run_virtual(main)


class Kept(History):
    """A history that remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[dict[str, Sample]] = []

    async def add(self, samples: Any) -> None:
        self.given.append(dict(samples))


def test_samples_are_kept_once_a_second_all_together_and_each_process_once() -> None:
    async def main() -> None:
        kept, known = Kept(), Instances()

        async def same() -> Snapshot:
            return snap("same", anyio.current_time() % 1e6)

        sources = [Simulated("a"), Simulated("b"), Simulated("c", same), Simulated("d", same)]
        await poll(Poller(known, kept, sources, look=None), 10.5)
        assert len(kept.given) == 10
        assert all(set(one) == {"a", "b", "same"} for one in kept.given[1:])

    run_virtual(main)


def test_workers_behind_one_address_are_each_sampled() -> None:
    async def main() -> None:
        kept, known, turns = Kept(), Instances(), 0

        async def worker() -> Snapshot:
            nonlocal turns
            turns += 1
            uptime = anyio.current_time() % 1e6
            return Snapshot.model_validate(said(f"worker {turns % 3}", uptime, workers=3, calls=[call(turns)]))

        await poll(Poller(known, kept, [Simulated("url", worker)], look=None), 30)
        names = Counter(name for one in kept.given for name in one)
        assert set(names) == {"worker 0", "worker 1", "worker 2"}
        assert min(names.values()) >= 8
        assert {one.seen(anyio.current_time()) for one in known} == {"up"}
        assert all(sample.rate == pytest.approx(1, rel=0.05) for one in kept.given for sample in one.values())

    run_virtual(main)


async def test_it_ends_at_once_and_closes_all_connections() -> None:
    sources = [Simulated(str(number), takes=1.9) for number in range(20)]
    poller = Poller(Instances(), None, sources, look=list)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(poller.run)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert all(source.closed for source in sources)
    assert repr(poller) == "<Poller of 20 processes>"
