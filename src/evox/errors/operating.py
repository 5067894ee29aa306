"""Operating: errors of commands that change something in running processes."""

from collections.abc import Sequence

from evox.errors.base import EvoxError

__all__ = ["NothingToOperate", "OperatorRefused"]


class NothingToOperate(EvoxError):
    """No running process that a command could change something in."""

    id = "EVX-308"
    exit_code = 1

    def __init__(self, project: str, others: Sequence[str] = (), *, why: str = "", fix: str = "") -> None:
        elsewhere = f"; there are some of {', '.join(others)}" if others else ""
        super().__init__(
            f"no process of {project} was found in which anything can be changed",
            why=why or f"`evox run` leaves a note for its user, unless control.socket is off; there is none{elsewhere}",
            fix=fix or ("name its folder with --project" if others else "start one with evox run"),
        )


class OperatorRefused(EvoxError):
    """A process did not take the operator token that was shown."""

    id = "EVX-309"
    exit_code = 1

    def __init__(self, pid: int, why: str) -> None:
        super().__init__(
            f"process {pid} does not let us change anything",
            why=why,
            fix="show it the token that its control.token names: --token-from env:NAME, or a file",
        )
