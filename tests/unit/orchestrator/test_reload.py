"""Reload: what counts as a change of the project's source."""

import pytest
from watchfiles import Change

from evox.orchestrator.reload import _SourceFilter


@pytest.mark.parametrize("path", ["/p/users.py", "/p/evox.toml", "/p/pages/index.html", "/p/data.json"])
def test_a_saved_source_is_a_change(path: str) -> None:
    assert _SourceFilter()(Change.modified, path)


@pytest.mark.parametrize("path", ["/p/.evox/dev-key.json", "/p/.git/x.py", "/p/.venv/x.py", "/p/notes.txt"])
def test_what_services_and_tools_keep_for_themselves_is_none(path: str) -> None:
    assert not _SourceFilter()(Change.modified, path)
