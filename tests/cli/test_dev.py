"""``evox run --dev``: a saved file is a new answer, broken code ends nothing, and a signal ends everything.

The time from save to answer is bounded in real time here: that is what is promised.
"""

import os
import signal
import time
from pathlib import Path

import httpx2
import pytest
from tests.support import EvoxProcess, Run, free_port, pids_of

SAVE_TO_ANSWER = 14.0  # seconds: two processes start, on a machine that does more than that
SERVICE = """
from evox import service

svc = service("edited").port({port})


@svc.get("/")
async def root() -> str:
    return "{answer}"
"""
BROKEN = "from evox import service\n\n\ndef broken(:\n"


def ask(port: int) -> str:
    """Return the answer on a connection of its own, or an empty text where there is none."""
    try:
        with httpx2.Client(timeout=2, trust_env=False) as client:
            answer: str = client.get(f"http://127.0.0.1:{port}/").json()
            return answer
    except (httpx2.HTTPError, ValueError):
        return ""


def wait_answer(process: EvoxProcess, port: int, wanted: str) -> None:
    end = time.monotonic() + SAVE_TO_ANSWER
    while (said := ask(port)) != wanted:
        assert time.monotonic() < end, f"the answer is {said!r}, not {wanted!r}\n{process.out}\n{process.err}"
        time.sleep(0.02)


def save(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


class Edited:
    """A service under --dev, and the one file it is in."""

    def __init__(self, run: Run, text: str | None = None) -> None:
        self.port = free_port()
        first = self.source("one") if text is None else text
        self.process = run({"app/edited.py": first}, "app", "--dev", "--json")
        self.file = self.process.folder / "app" / "edited.py"

    def source(self, answer: str) -> str:
        return SERVICE.format(port=self.port, answer=answer)

    def save(self, answer: str) -> None:
        save(self.file, self.source(answer))

    def wait(self, answer: str) -> None:
        wait_answer(self.process, self.port, answer)


def test_C4_a_saved_file_is_a_new_answer(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    edited.save("two is longer")
    edited.wait("two is longer")


def test_C4_the_time_from_save_to_answer_is_below_a_second_and_the_import(evox_run: Run) -> None:
    began = time.monotonic()
    edited = Edited(evox_run)
    edited.wait("one")
    start = time.monotonic() - began  # the import of parent and child
    saved = time.monotonic()
    edited.save("two is longer")
    edited.wait("two is longer")
    assert time.monotonic() < saved + 1.0 + start


def test_C4_the_last_save_wins_although_an_earlier_one_starts_more_slowly(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    hook = "\n\n@svc.on_startup\nasync def up() -> None:\n    import anyio\n\n    await anyio.sleep(2.5)\n"
    save(edited.file, edited.source("slow to start") + hook)
    edited.process.wait_error("changed: app/edited.py")
    time.sleep(0.5)  # its process is on the way
    edited.save("the last")
    edited.wait("the last")
    edited.process.event("stopped")
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        assert ask(edited.port) == "the last"
        time.sleep(0.1)


def test_C4_two_saves_of_one_size_within_a_second_are_both_seen(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    second = int(edited.file.stat().st_mtime)
    edited.save("two")
    os.utime(edited.file, ns=(second * 10**9 + 999_000_000,) * 2)
    edited.wait("two")


def test_C4_broken_code_is_shown_and_the_last_good_version_goes_on_serving(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    save(edited.file, BROKEN)
    edited.process.wait_error("EVX-302")
    edited.process.wait_error("goes on serving")
    assert ask(edited.port) == "one"
    edited.save("three")
    edited.wait("three")


def test_C4_code_that_fails_at_start_up_leaves_the_last_good_version_serving(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    hook = '\n\n@svc.on_startup\nasync def up() -> None:\n    raise ValueError("not today")\n'
    save(edited.file, edited.source("bad") + hook)
    edited.process.wait_error("EVX-401")
    edited.process.wait_error("goes on serving")
    assert ask(edited.port) == "one"


def test_C4_code_that_is_broken_from_the_start_is_served_once_it_is_repaired(evox_run: Run) -> None:
    edited = Edited(evox_run, BROKEN)
    edited.process.wait_error("EVX-302")
    edited.process.wait_error("waiting for a change")
    assert edited.process.process.poll() is None
    edited.save("repaired")
    edited.wait("repaired")


def test_C4_a_folder_without_a_service_waits_for_one(evox_run: Run) -> None:
    edited = Edited(evox_run, "# nothing yet\n")
    edited.process.wait_error("EVX-203")
    edited.save("now there is")
    edited.wait("now there is")


def test_C4_a_new_port_is_taken_and_the_old_one_is_left(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    old, edited.port = edited.port, free_port()
    edited.save("moved")
    edited.wait("moved")
    edited.process.event("stopped")
    assert ask(old) == ""


def test_C4_no_request_is_refused_while_versions_change(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    edited.save("two is longer")
    end = time.monotonic() + SAVE_TO_ANSWER
    answers = []
    while (said := ask(edited.port)) != "two is longer":
        answers.append(said)
        assert time.monotonic() < end
    assert set(answers) == {"one"}


def test_C4_each_request_is_shown(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    edited.process.wait_error("GET / -> 200")


def test_C4_many_saves_in_a_row_end_with_the_last_one_and_one_process(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    for number in range(6):
        edited.save(f"number {number}")
        time.sleep(0.15)  # slower than the watcher gathers, faster than a start
    edited.wait("number 5")
    end = time.monotonic() + SAVE_TO_ANSWER
    while len(pids_of(edited.process.mark)) > 2:
        assert time.monotonic() < end, f"{len(pids_of(edited.process.mark))} processes are left"
        time.sleep(0.05)
    assert ask(edited.port) == "number 5"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("broken", [False, True])
def test_C4_a_signal_ends_it_with_0_and_leaves_no_process(evox_run: Run, number: signal.Signals, broken: bool) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    if broken:
        save(edited.file, BROKEN)
        edited.process.wait_error("goes on serving")
    edited.process.kill(number)
    assert edited.process.wait() == 0
    assert pids_of(edited.process.mark) == []


def test_C4_a_signal_before_the_first_start_ends_it_with_0_and_leaves_no_process(evox_run: Run) -> None:
    hook = """

@svc.on_startup
async def up() -> None:
    import sys

    import anyio

    sys.stderr.write("in the hook\\n")
    sys.stderr.flush()
    await anyio.sleep(60)
"""
    edited = Edited(evox_run, SERVICE.format(port=free_port(), answer="never") + hook)
    edited.process.wait_error("in the hook")
    signalled = edited.process.kill(signal.SIGTERM)
    assert edited.process.wait() == 0
    assert time.monotonic() < signalled + SAVE_TO_ANSWER
    assert pids_of(edited.process.mark) == []


def test_C4_a_child_whose_parent_is_killed_ends_too(evox_run: Run) -> None:
    edited = Edited(evox_run)
    edited.wait("one")
    edited.process.kill(signal.SIGKILL)
    edited.process.wait()
    end = time.monotonic() + SAVE_TO_ANSWER
    while pids_of(edited.process.mark):
        assert time.monotonic() < end, "a child is left"
        time.sleep(0.05)
