"""Progress: shown in a terminal when something takes its time, and nowhere else."""

import io
import threading

import pytest

from evox.cli.progress import Progress


class Terminal(io.StringIO):
    """What says that it is one, and tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        done = super().write(text)
        self.written.set()
        return done


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_what_takes_its_time_is_said_and_taken_away_again() -> None:
    terminal = Terminal()
    with Progress(terminal, after=0) as progress:
        progress.on("applying [0001]")
        assert terminal.written.wait(5)
        assert "shown" in repr(progress)
    assert "applying [0001]" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")
    assert "hidden" in repr(progress)


def test_what_is_done_soon_leaves_no_trace() -> None:
    terminal = Terminal()
    with Progress(terminal, after=3600) as progress:
        progress.on("one")
        progress.on("two")
        progress.off()
        progress.off()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("name", ["NO_COLOR", "CI"])
def test_where_nobody_looks_nothing_is_written(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(stream, after=0) as progress:
            progress.on("one")
        assert stream.getvalue() == ""
    assert threading.active_count() < 50
