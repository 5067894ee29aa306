"""Rules: a registry that does not answer is worth a word."""

from typing import Any

import pytest

from evox.observe.rules import findings, level_of

PROCESS = {"workers": 1, "mode": "development", "tls": False}


@pytest.mark.parametrize(
    ("registry", "level"), [(None, "pass"), ({"available": True}, "pass"), ({"available": False}, "warn")]
)
def test_a_registry_that_does_not_answer_is_a_warning(registry: Any, level: str) -> None:
    snapshot = {"services": [], "incidents": [], "queues": [], "process": PROCESS, "proxy": {"registry": registry}}
    assert level_of(findings(snapshot)) == level
