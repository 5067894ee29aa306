"""Interfaces: what hypercorn's protocols ask of a server, on anyio."""

from typing import Any

import anyio
from hypercorn.config import Config
from starlette.types import ASGIApp

from evox.config import ServingSettings

__all__ = ["Context", "Event", "Shared"]

_NEVER = 2**62


class Wrapper:
    """Hypercorn's app interface: an ASGI app called with two more arguments, for threads, that ASGI does not use."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any, *_: Any) -> None:
        """Answer one request."""
        await self.app(scope, receive, send)


class Event:
    """Hypercorn's event interface."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def clear(self) -> None:
        """Make it wait again."""
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()

    async def set(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._event.is_set()


class Context:
    """Hypercorn's worker context: whether the server ends, and time.

    Attributes:
        leaving: Whether clients are asked to go elsewhere.
        terminated: Set when connections are closed once they are idle.
    """

    event_class = Event

    def __init__(self) -> None:
        self.leaving = False
        self.terminate = Event()
        self.terminated = Event()

    async def mark_request(self) -> None:
        """Nothing: we count requests ourselves."""

    @staticmethod
    async def sleep(wait: float) -> None:
        """Sleep for so many seconds."""
        await anyio.sleep(wait)

    @staticmethod
    def time() -> float:
        """Return the loop's time in seconds."""
        return anyio.current_time()


class Shared:
    """What the connections of one app have in common.

    Args:
        app: What answers requests.
        settings: How long a client may take, and how much it may send.

    Attributes:
        config: Hypercorn's configuration.
        context: Says whether the server ends.
    """

    def __init__(self, app: ASGIApp, settings: ServingSettings) -> None:
        self.app = Wrapper(app)
        self.settings = settings
        self.config = _config_of(settings)
        self.context = Context()

    def __repr__(self) -> str:
        return f"<Shared{', leaving' if self.context.leaving else ''}>"


def _config_of(settings: ServingSettings) -> Config:
    """Return hypercorn's configuration. Limits that it has and ours replace are switched off."""
    config = Config()
    config.include_server_header = False
    config.errorlog = config.accesslog = None
    config.keep_alive_timeout = settings.keep_alive
    config.keep_alive_max_requests = _NEVER
    config.h11_max_incomplete_size = settings.header_bytes
    config.h2_max_concurrent_streams = settings.streams
    # What the decoder bears is more than what is allowed, so that a head over the limit can still be answered 431.
    config.h2_max_header_list_size = 2 * (settings.header_bytes + 32 * settings.header_count)
    config.websocket_max_message_size = _NEVER
    config.websocket_ping_interval = None
    return config
