"""Looking: errors of commands that look at running processes, and write what they see."""

from evox.errors.base import EvoxError, Place

__all__ = ["CannotWrite", "NothingToSee"]


class NothingToSee(EvoxError):
    """No running process was found, and none was named."""

    id = "EVX-303"
    exit_code = 1

    def __init__(self) -> None:
        super().__init__(
            "no process of yours was found running",
            why="`evox run` leaves a note for its user, unless observe.socket is off; there is none",
            fix="start one with evox run, or name a service: evox health --url http://127.0.0.1:8001",
        )


class CannotWrite(EvoxError):
    """A file that cannot be written."""

    id = "EVX-304"
    exit_code = 1

    def __init__(self, file: str, why: str) -> None:
        super().__init__(
            f"cannot write {file}",
            why=why,
            fix="name a file in a folder that is there and that you may write to",
            place=Place(file),
        )
