"""Supervisor: runs something, and when it fails runs it again, with backoff, but never in a hot loop.

The intensity rule is OTP's: more than ``max_restarts`` failures within ``window`` seconds and it is given up. Used for
services and for background tasks. Cancellation is never caught.
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

__all__ = ["Intensity", "RestartPolicy", "supervise"]


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How failures are answered.

    Attributes:
        max_restarts: Failures tolerated within ``window``; one more and it is given up. 0 never restarts.
        window: Seconds over which failures are counted.
        backoff: Seconds before the first restart; doubles with each failure in the window.
        max_backoff: Longest delay in seconds.
        jitter: Part of the delay that is random, 0 to 1, so that many processes do not restart in step.
    """

    max_restarts: int = 5
    window: float = 60.0
    backoff: float = 0.5
    max_backoff: float = 30.0
    jitter: float = 0.2

    def delay(self, failures: int, *, rand: Callable[[], float] = random.random) -> float:
        """Return seconds to wait before the restart after the n-th failure in the window, counted from 1."""
        full = min(self.backoff * 2.0 ** min(failures - 1, 32), self.max_backoff)
        return full * (1 - self.jitter * rand())


class Intensity:
    """Counts failures within a sliding window."""

    def __init__(self, policy: RestartPolicy) -> None:
        self.policy = policy
        self._times: deque[float] = deque()

    def __repr__(self) -> str:
        return f"<Intensity {len(self._times)} of {self.policy.max_restarts} in {self.policy.window:g} s>"

    def record(self, now: float) -> int:
        """Note a failure at ``now`` (seconds of the monotonic clock) and return how many lie in the window."""
        self._times.append(now)
        while self._times[0] <= now - self.policy.window:
            self._times.popleft()
        return len(self._times)

    def exceeded(self) -> bool:
        """Whether more failures lie in the window than the policy tolerates."""
        return len(self._times) > self.policy.max_restarts


async def supervise(
    run: Callable[[], Awaitable[None]],
    policy: RestartPolicy,
    *,
    on_failure: Callable[[Exception, int, float | None], None],
) -> bool:
    """Run until it returns, restarting it after failures.

    Args:
        run: What to run; called anew for each attempt.
        policy: How often and how fast to restart.
        on_failure: Called with the error, the failures in the window, and the seconds until the next attempt or None
            when it is given up. If it raises, that error ends the supervision.

    Returns:
        True if ``run`` returned, False if it was given up.
    """
    intensity = Intensity(policy)
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001  a supervisor is where errors end; each is handed to on_failure
            failures = intensity.record(anyio.current_time())
            if intensity.exceeded():
                on_failure(error, failures, None)
                return False
            delay = policy.delay(failures)
            on_failure(error, failures, delay)
            await anyio.sleep(delay)
        else:
            return True
