"""Console: what stands in a log entry, for people and for machines, and what never does."""

import io
import json
import logging
import sys
from typing import Any

import pytest

from evox.errors import EvoxError, Place
from evox.orchestrator.console import Console, configure_logs

URL = "postgresql://me:hunter2@host/db"


def written(capsys: pytest.CaptureFixture[str], *, as_json: bool, name: str, **more: Any) -> str:
    """Return how an error of ours is written to the log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logs(as_json=as_json, verbose=False, environ={})
        error = EvoxError("it broke", why=f"of {URL}", fix="do that", place=Place("app.py", 2))
        logging.getLogger(name).error("GET / failed for %s", URL, exc_info=error, extra=more)
    finally:
        root.handlers, root.level = handlers, level
    return capsys.readouterr().err


class Full(io.StringIO):
    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("as_json", [True, False])
def test_standard_output_on_a_full_disk_or_closed_ends_nothing(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line that could not be written ended the process, and SIGTERM cut its requests for that."""
    for out in (Full(), None):
        monkeypatch.setattr(sys, "stdout", out)
        console = Console(as_json=as_json)
        console.draining("SIGTERM")
        console.stopped(code=0)


def test_for_machines_an_error_of_ours_has_its_facts_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    entry = json.loads(written(capsys, as_json=True, name="evox.requests"))
    assert entry["error"] == {
        "id": "EVX-000",
        "type": "EvoxError",
        "what": "it broke",
        "why": "of postgresql://***@host/db",
        "fix": "do that",
        "at": ["app.py:2"],
    }
    assert "EVX-000: it broke" in entry["traceback"]


def test_for_people_an_error_that_evox_logs_is_shown_once_with_the_users_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = written(capsys, as_json=False, name="evox.data")
    assert [line[:6] for line in text.splitlines()[1:]] == ["error ", "  why ", "  fix ", "  at  "]


def test_for_people_an_error_that_others_log_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert "evox.errors.base.EvoxError: EVX-000: it broke" in written(capsys, as_json=False, name="mine")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("name", ["evox.requests", "mine"])
def test_no_password_of_a_url_is_logged(as_json: bool, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(capsys, as_json=as_json, name=name, url=URL)
    assert "postgresql://***@host/db" in text
    assert "hunter2" not in text
