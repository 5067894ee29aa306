"""Private: the sockets for commands of the same user, from the start of a process to its very end.

One is for looking; the other is for the few commands that change something.
"""

import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from anyio.abc import TaskGroup

import evox
from evox.config import ServingSettings
from evox.observe import Observation
from evox.observe.directory import Place
from evox.observe.management import management_app
from evox.orchestrator.control import ControlSocket
from evox.serving import Port

__all__ = ["PrivateSocket"]

SETTINGS: Final = ServingSettings(connections=32, keep_alive=30.0)
_log = logging.getLogger("evox.observe")


class PrivateSocket:
    """The private socket of this process. That there is none keeps nothing from running.

    Args:
        wanted: Whether there is to be one.
        control: The other one, if that is wanted too.
    """

    def __init__(self, *, wanted: bool, control: ControlSocket | None = None) -> None:
        self._place: Place | None = None
        self._port: Port | None = None
        self._control = control
        if wanted and hasattr(socket, "AF_UNIX"):
            try:
                self._place = Place()
            except OSError as error:
                _tell(error)

    def __repr__(self) -> str:
        return f"<PrivateSocket at {self._place!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take the socket and the note away."""
        if self._place is not None:
            self._place.close()

    def serve(
        self,
        observation: Observation,
        urls: Mapping[str, str],
        *,
        root: Path,
        nursery: TaskGroup,
        connections: TaskGroup,
    ) -> None:
        """Answer on it, and leave a note by which it is found.

        Args:
            observation: What is seen.
            urls: Where the services of the process are, by name.
            root: The project's folder.
            nursery: Where the accept loop runs.
            connections: Where connections do.
        """
        if self._place is None:
            return
        app = management_app(observation)
        self._port = Port(self._place.socket, app, SETTINGS, service="observation", connections=connections)
        nursery.start_soon(self._port.serve, name="listener:observation")
        try:
            if self._control is not None:
                self._control.serve(self._place, observation.scope, nursery=nursery, connections=connections)
        except OSError as error:
            _log.warning("no operator can change anything in this process: %s", error)
        try:
            self._place.publish(root=root, services=urls, version=evox.__version__)
        except OSError as error:
            _tell(error)

    async def close(self) -> None:
        """Answer no more."""
        if self._control is not None:
            await self._control.close()
        if self._port is not None:
            await self._port.close()
            self._port.abort()


def _tell(error: OSError) -> None:
    _log.warning("`evox health` and `evox dashboard` will not find this process by themselves: %s", error)
