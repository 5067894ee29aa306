"""Looking: a service looks at the process that it runs in, as whoever looks from outside would see it."""

from evox import context
from evox.errors import OutsideRuntime
from evox.observe.forms import Snapshot
from evox.observe.observation import Observation
from evox.observe.snapshot import snapshot
from evox.services import Running

__all__ = ["look"]


def look() -> Snapshot:
    """Return the state of this process: services, calls, queues, what is wrong and since when.

    It takes a millisecond or two, so it is for checks and tasks rather than for every request.

    Raises:
        OutsideRuntime: if no service runs in this context.
    """
    asked_for = "evox.observe.look()"
    running = context.current_service(asked_for)
    seen = running.runtime.observation if isinstance(running, Running) else None
    if not isinstance(seen, Observation):
        raise OutsideRuntime(asked_for)
    return Snapshot.model_validate(snapshot(seen))
