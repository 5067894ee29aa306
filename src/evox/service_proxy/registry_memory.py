"""Registry memory: what is remembered of where one service runs, and for how long it is believed.

It does no I/O and has no clock: whoever asks says what time it is, in monotonic seconds.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio

__all__ = ["Instance", "RegistryMemory", "is_address", "pause_after_failure"]

LONGEST_PAUSE: Final = 1.0  # seconds until a server that failed is asked again
LONGEST_URL: Final = 2000
_ADDRESS: Final = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9.])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?:/(?:(?![?#\\])[!-~])*)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of a service.

    Attributes:
        service: Its name.
        url: Where it is reached, such as ``https://10.0.0.7:8443``.
    """

    service: str
    url: str


_Leases: TypeAlias = tuple[tuple[Instance, float], ...]  # each with when it is over


class RegistryMemory:
    """What is known of one service.

    It is believed for a third of a lease. When nothing newer is to be had it is for one lease more, as what runs goes
    on to run when nobody can ask where.

    Args:
        service: The service's name.
        lease: Seconds that an announcement lasts.

    Attributes:
        asking: Set when whoever asks now is done; None if nobody does.
    """

    def __init__(self, service: str, lease: float) -> None:
        self._service = service
        self._lease = lease
        self._found: _Leases = ()
        self._forgotten: dict[str, float] = {}
        self._fresh_until = self._known_until = self._again_at = -math.inf
        self._why = ""
        self.asking: anyio.Event | None = None

    def __repr__(self) -> str:
        return f"<RegistryMemory {self._service}: {len(self._found)} found, {len(self._forgotten)} left out>"

    def is_due(self, now: float) -> bool:
        """Return whether the registry should be asked."""
        return now >= self._fresh_until and now >= self._again_at

    def known(self, now: float) -> tuple[Instance, ...] | None:
        """Return the instances that are believed to run, or None if what is known is too old."""
        if now >= self._known_until:
            return None
        # While the registry can be asked, whoever has not renewed is gone. While it cannot, nobody can renew.
        at = min(now, self._fresh_until)
        return tuple(one for one, until in self._found if until > at and one.url not in self._forgotten)

    @property
    def why(self) -> str:
        """Why the registry could not be asked the last time, or nothing."""
        return self._why

    def fetched(self, found: Iterable[tuple[str, float]], *, began: float, now: float) -> None:
        """Take over what the registry says.

        Args:
            found: URLs, each with the seconds that its lease lasts.
            began: When the registry was asked: leases count from then, so that none is believed for too long.
            now: When it answered.
        """
        answer = tuple((Instance(self._service, url), began + left) for url, left in found)
        self._found = answer + (self._not_back_yet(answer, now) if self._why else ())
        self._fresh_until = now + self._lease / 3
        self._known_until = self._fresh_until + self._lease
        self._again_at, self._why = -math.inf, ""
        self._forgotten = {url: at for url, at in self._forgotten.items() if at >= began}

    def _not_back_yet(
        self, answer: tuple[tuple[Instance, float], ...], now: float
    ) -> tuple[tuple[Instance, float], ...]:
        """Return those that were known before an outage: after it they have to renew before they are found again."""
        until = min(now + self._lease / 3, self._known_until)
        back = {one for one, _ in answer}
        kept = (one for one in self.known(now) or () if one not in back)
        return tuple((one, until) for one in kept)

    def failed(self, why: str, now: float) -> None:
        """Take note that the registry could not be asked. It is left alone for a moment: each try may take long."""
        self._again_at, self._why = now + pause_after_failure(self._lease), why

    def forget(self, url: str, now: float) -> None:
        """Leave an instance out until the registry is asked again; one that is being asked does not count."""
        if any(one.url == url for one, _ in self._found):
            self._forgotten[url] = now


def pause_after_failure(lease: float) -> float:
    """Return the seconds until a registry that failed is asked again."""
    return min(lease / 3, LONGEST_PAUSE)


def is_address(url: str) -> bool:
    """Return whether a URL can be that of a service: http or https, a host, no user, no query and no fragment."""
    found = _ADDRESS.fullmatch(url) if len(url) <= LONGEST_URL else None
    return found is not None and (found[1] is None or 0 < int(found[1]) < 65_536)
