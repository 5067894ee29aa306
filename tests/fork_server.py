"""Fork server: a script that has imported Evox, and forks for each command that it is asked to run; see ``forked``."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any


def _serve() -> None:
    """Fork for each line that is read, and write the exit code of what has ended."""
    import evox.cli.entry
    import evox.observe.report
    import evox.orchestrator  # noqa: F401  all of it is there for those who are forked

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(asked: Mapping[str, Any]) -> None:
    """Be the command, and end with it."""
    import evox.cli

    code = 70
    try:
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, asked["out"], flags), (2, asked["err"], flags)):
            opened = os.open(path, mode, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
        sys.argv = ["evox", *asked["arguments"]]
        sys.path[0] = asked["cwd"]
        code = evox.cli.main()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
