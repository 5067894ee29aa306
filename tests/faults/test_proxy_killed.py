"""A service elsewhere that is killed and started again while it is called: what was under way fails, and no more."""

from collections import Counter
from pathlib import Path

import anyio
from tests.faults.raw_peer import declared
from tests.support import free_port, write_files
from tests.unit.testing.peers import until

from evox import ServiceBuilder
from evox.core import proxy
from evox.errors import CallFailed
from evox.testing import running, service_process

USERS = """
    import anyio
    from evox import service

    svc = service("users")

    @svc.get("/users/{user_id}")
    async def get_user(user_id: int) -> int:
        await anyio.sleep(0.01)
        return user_id
"""
OPEN = 5.0  # seconds for which a breaker is open at first
BUSY = 10


class Load:
    """Calls that are made without a pause, and how they ended."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.last = self.worst = 0.0

    async def run(self) -> None:
        """Call until it is cancelled."""
        while True:
            began = anyio.current_time()
            outcome = await proxy.users.get_user(1).with_fallback(-1).with_timeout(3).outcome()
            self.worst = max(self.worst, anyio.current_time() - began)
            self.ended["degraded" if outcome.degraded else "answered"] += 1
            assert outcome.value == (-1 if outcome.degraded else 1)
            if not outcome.degraded:
                self.last = began
            await anyio.sleep(0.005)

    async def answered(self, since: float) -> None:
        """Wait until a call is answered that was made later."""
        await until(lambda: self.last > since)


async def test_a_service_that_is_killed_and_comes_back_is_called_again_within_the_time_of_the_breaker(
    tmp_path: Path,
) -> None:
    write_files(tmp_path, {"users.py": USERS})
    port, load = free_port(), Load()
    file = str(tmp_path / "users.py")
    settings = {"peers": {"users": f"http://127.0.0.1:{port}"}, "proxy": {"attempts": 3}}
    async with running(ServiceBuilder("orders"), settings=settings, declared=[declared()]):
        async with anyio.create_task_group() as group:
            async with service_process(file, port=port) as process:
                for _ in range(BUSY):
                    group.start_soon(load.run)
                with anyio.fail_after(5):
                    await load.answered(anyio.current_time())
                before = load.ended["degraded"]
                process.kill()
                await process.wait()
            assert before == 0
            await anyio.sleep(0.2)
            async with service_process(file, port=port):
                back = anyio.current_time()
                with anyio.fail_after(OPEN + 1):
                    await load.answered(back)
                    await anyio.sleep(0.1)
                    lost = load.ended["degraded"]
                    await anyio.sleep(0.3)
                assert load.ended["degraded"] - lost == 0
                group.cancel_scope.cancel()
        assert load.worst < 4


async def test_without_a_fallback_the_calls_of_a_killed_service_end_with_a_clear_error(tmp_path: Path) -> None:
    write_files(tmp_path, {"users.py": USERS})
    port = free_port()
    settings = {"peers": {"users": f"http://127.0.0.1:{port}"}, "proxy": {"attempts": 3}}
    async with running(ServiceBuilder("orders"), settings=settings, declared=[declared()]):
        async with service_process(str(tmp_path / "users.py"), port=port) as process:
            assert await proxy.users.get_user(1) == 1
            async with anyio.create_task_group() as group:
                ended: list[object] = []

                async def call() -> None:
                    calls = [proxy.users.get_user(number) for number in range(50)]
                    ended.extend(await proxy.gather(*calls, concurrency=50, return_exceptions=True))

                group.start_soon(call)
                await anyio.sleep(0.01)
                process.kill()
        assert len(ended) == 50
        assert all(isinstance(one, int | CallFailed) for one in ended)
