"""Answering: how a command ends: with its exit code, or with an error that says what, why and what to do."""

from collections.abc import Callable

__all__ = ["answering"]


def answering(work: Callable[[], int], *, as_json: bool, trace: bool) -> Callable[[], int]:
    """Return what does the work of a command, and tells its errors in the form that was asked for.

    Args:
        work: Returns the exit code.
        as_json: Whether errors are told as JSON too.
        trace: Whether they come with the whole traceback.
    """

    def answer() -> int:
        from evox.errors import EvoxError
        from evox.orchestrator import Console

        try:
            return work()
        except EvoxError as error:
            Console(as_json=as_json, trace=trace).error(error)
            return error.exit_code

    return answer
