"""Signals, in processes of their own: the first is noted, the second ends the process even when the loop is blocked."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evox.runtime import watch_signals

LIVENESS = 15.0
LOOPS = ["trio", "asyncio", "uvloop"]
START = """
import signal, sys, threading, time
import anyio
from evox.runtime import Choice, end_if_stuck, run, watch_signals

backend = sys.argv[1]
choice = Choice("trio" if backend == "trio" else "asyncio", "test", uvloop=backend == "uvloop")

def say(*words):
    print(*words, flush=True)

"""
WAITING = """
async def main():
    with watch_signals() as watch:
        say("ready")
        say("got", (await watch.wait()).name)
        if "again" in sys.argv:
            await anyio.sleep_forever()

run(choice, main)
"""
BUSY = """
async def main():
    with watch_signals() as watch:
        watch.on_first = lambda: say("first")
        say("ready")
        while True:
            BLOCK

run(choice, main)
"""


@contextmanager
def child(source: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script that says "ready" when signals may come."""
    command = [sys.executable, "-c", START + textwrap.dedent(source), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = threading.Timer(LIVENESS, process.kill)
        watchdog.start()
        try:
            assert said(process) == "ready"
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def end(process: subprocess.Popen[str]) -> int:
    return process.wait(LIVENESS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", LOOPS)
def test_R5_the_first_signal_is_noted_and_ends_nothing_by_itself(loop: str, number: signal.Signals) -> None:
    with child(WAITING, loop) as process:
        process.send_signal(number)
        assert said(process) == f"got {number.name}"
        assert end(process) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", LOOPS)
def test_R5_the_second_signal_of_either_kind_exits_130(loop: str, second: signal.Signals) -> None:
    with child(WAITING, loop, "again") as process:
        process.send_signal(signal.SIGTERM)
        assert said(process) == "got SIGTERM"
        process.send_signal(second)
        assert end(process) == 130


@pytest.mark.parametrize("loop", LOOPS)
def test_R5_signals_that_another_thread_takes_wake_a_loop_that_waits_for_nothing(loop: str) -> None:
    source = """
    def signal_here():
        time.sleep(0.1)  # the loop has gone to sleep by then; if not, nothing is proved and nothing fails
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    async def main():
        with watch_signals() as watch:
            threading.Thread(target=signal_here, daemon=True).start()
            say("ready")
            say("got", (await watch.wait()).name)
            threading.Thread(target=signal_here, daemon=True).start()
            await anyio.sleep_forever()

    run(choice, main)
    """
    with child(source, loop) as process:
        assert said(process) == "got SIGTERM"
        assert end(process) == 130


@pytest.mark.parametrize("block", ["pass", "time.sleep(60)"], ids=["busy", "asleep"])
@pytest.mark.parametrize("loop", LOOPS)
def test_R5_the_second_signal_exits_130_even_when_a_handler_blocks_the_loop(loop: str, block: str) -> None:
    with child(BUSY.replace("BLOCK", block), loop) as process:
        process.send_signal(signal.SIGINT)
        assert said(process) == "first"
        process.send_signal(signal.SIGINT)
        assert end(process) == 130


@pytest.mark.parametrize("loop", LOOPS)
def test_R5_a_signal_before_anyone_waits_is_not_lost(loop: str) -> None:
    source = """
    with watch_signals() as watch:
        watch.on_first = lambda: say("first")
        say("ready")
        while watch.received is None:
            time.sleep(0.01)
        say("got", run(choice, watch.wait).name)
    """
    with child(source, loop) as process:
        process.send_signal(signal.SIGTERM)
        assert [said(process), said(process)] == ["first", "got SIGTERM"]
        assert end(process) == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_R5_what_was_installed_before_is_put_back(loop: str) -> None:
    source = """
    mine = lambda number, frame: say("mine")
    signal.signal(signal.SIGTERM, mine)
    before = signal.getsignal(signal.SIGINT)
    with watch_signals() as watch:
        taken = [signal.getsignal(one) == watch.handle for one in (signal.SIGTERM, signal.SIGINT)]
        run(choice, anyio.lowlevel.checkpoint)
    say("ready")
    say(taken, signal.getsignal(signal.SIGTERM) is mine, signal.getsignal(signal.SIGINT) is before)
    """
    with child(source, loop) as process:
        assert said(process) == "[True, True] True True"
        assert end(process) == 0


def test_R5_only_the_named_signals_are_taken_over() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with watch_signals(signal.SIGUSR1) as watch:
        assert signal.getsignal(signal.SIGTERM) is before
        os.kill(os.getpid(), signal.SIGUSR1)
        assert watch.received is signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_R5_what_was_installed_before_is_put_back_when_the_block_raises() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(ValueError, match="inside"), watch_signals(signal.SIGUSR1):
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGUSR1) is before


def test_R5_outside_the_main_thread_it_is_refused_and_nothing_stays_open() -> None:
    refused: list[ValueError] = []

    def elsewhere() -> None:
        try:
            with watch_signals():
                pass
        except ValueError as error:
            refused.append(error)

    before = open_descriptors()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(LIVENESS)
    assert (len(refused), open_descriptors()) == (1, before)


def test_R5_a_process_whose_loop_is_stuck_is_ended_with_the_reports_exit_code() -> None:
    source = """
    def report():
        say("stuck")
        return 124

    end_if_stuck(0.05, report)
    say("ready")
    async def main():
        time.sleep(60)

    run(choice, main)
    """
    with child(source, "trio") as process:
        assert said(process) == "stuck"
        assert end(process) == 124


def test_R5_a_loop_that_ended_by_itself_disarms_the_timer() -> None:
    source = """
    timer = end_if_stuck(60, lambda: 124)
    timer.cancel()
    timer.join(5)
    say("ready")
    say(timer.is_alive(), timer.daemon)
    """
    with child(source, "trio") as process:
        assert said(process) == "False True"
        assert end(process) == 0
