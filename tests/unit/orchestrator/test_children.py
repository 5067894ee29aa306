"""Children: processes that are told to end once, are all told, and whose end is seen whoever holds their channel."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from evox.orchestrator.children import Child, Children

LIVENESS = 10.0
TELLS = """
import json, os, signal, socket, sys, time
channel = socket.socket(fileno=json.loads(os.environ["EVOX_HANDOVER"])["channel"])
def end(number, frame):
    channel.sendall(b'{"event": "stopped", "requests": ["once"], "streams": []}\\n')
    time.sleep(0.3)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
if sys.argv[1:] == ["fork"] and not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(8)
    signal.pause()
channel.sendall(b'{"event": "ready", "facts": {"loop": "none"}}\\n')
while True:
    signal.pause()
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the parent's, always


@asynccontextmanager
async def parent(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> AsyncIterator[Children]:
    """Yield children that run TELLS rather than ``evox``; all are gone after it."""
    script = folder / "evox.py"
    script.write_text(TELLS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    children = Children(arguments, worker=True)
    try:
        with anyio.fail_after(LIVENESS):
            yield children
    finally:
        children.kill()


async def begin(children: Children, group: TaskGroup) -> Child:
    child = await children.start()
    group.start_soon(children.listen, child)
    return child


async def test_a_child_says_that_it_is_ready_and_what_it_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with parent(monkeypatch, tmp_path) as children, anyio.create_task_group() as group:
        child = await begin(children, group)
        assert await child.settled()
        assert child.facts == {"loop": "none"}
        assert str(child.process.pid) in repr(children)
        children.end()
        await child.ended.wait()
        assert (child.report["requests"], child.process.returncode) == (["once"], 0)
        assert children.alive == set()


async def test_a_child_that_is_told_twice_gets_one_signal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[int] = []
    kill = os.kill
    async with parent(monkeypatch, tmp_path) as children, anyio.create_task_group() as group:
        child = await begin(children, group)
        assert await child.settled()

        def noted(pid: int, number: int) -> None:
            sent.append(number)
            kill(pid, number)

        monkeypatch.setattr(os, "kill", noted)
        child.end()
        children.end()
        await child.ended.wait()
        assert (sent, children.told) == ([signal.SIGTERM], [child])


async def test_one_that_starts_while_all_are_told_to_end_is_told_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with parent(monkeypatch, tmp_path) as children, anyio.create_task_group() as group:
        group.start_soon(begin, children, group)
        await anyio.lowlevel.checkpoint()
        children.end()
        await children.settled()
        assert len(children.told) == 1
        await children.told[0].ended.wait()
        assert not await children.told[0].settled()


async def test_the_end_of_a_child_is_seen_although_what_it_forked_holds_its_channel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with parent(monkeypatch, tmp_path, "fork") as children, anyio.create_task_group() as group:
        child = await begin(children, group)
        assert await child.settled()
        with anyio.fail_after(3):
            child.send(signal.SIGKILL)
            await child.ended.wait()
        os.killpg(child.process.pid, signal.SIGKILL)  # its session: what it forked


async def test_a_child_that_is_gone_can_be_told_and_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with parent(monkeypatch, tmp_path) as children, anyio.create_task_group() as group:
        child = await begin(children, group)
        assert await child.settled()
        os.kill(child.process.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # dead, perhaps reaped, and the loop has not been told
            os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  it takes no time
        child.end()
        children.kill()
        await child.ended.wait()
        assert child.process.returncode == -signal.SIGKILL
