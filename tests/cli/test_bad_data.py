"""What a user can get wrong about data, one case each: held by golden files, as in ``test_bad_input``."""

from pathlib import Path

import pytest
from tests.cli.test_bad_input import SVC, Case, check
from tests.support import Run

CASES = [
    Case(
        "password_in_a_wrong_line",
        {"pyproject.toml": '[tool.evox.data]\nbackend = "mongo://me:hun@ter2@h/x"\n', "shop.py": SVC},
        says=("pyproject.toml:2", "mongo://***@h/x"),
        never=("ter2",),
    ),
    Case(
        "database_that_is_none",
        {"evox.toml": '[data]\ndatabase = "valkey://h/0"\n', "shop.py": SVC},
        says=("evox.toml:2", "sqlite:///", "postgresql://"),
    ),
    Case(
        "backend_for_no_service",
        {"evox.toml": '[data.services]\nshpo = "sqlite:///x.db"\n', "shop.py": SVC},
        says=("evox.toml:2", "'shop'"),
    ),
    Case(
        "backend_for_no_service_in_environment",
        {"shop.py": SVC, "other.py": SVC.replace("shop", "other")},
        arguments=("--only", "other"),
        env={"EVOX_DATA__SERVICES__SHPO": "sqlite:///x.db"},
        says=("EVOX_DATA__SERVICES__SHPO", "'shop'"),
    ),
    Case(
        "backend_that_is_not_there",
        {"shop.py": SVC},
        70,
        env={"EVOX_DATA__BACKEND": "valkey://127.0.0.1:1/0"},
        never=("fallback",),
    ),
    Case(
        "strong_intent_of_the_configuration",
        {"pyproject.toml": '[tool.evox.data.intents.session]\nconsistency = "strong"\n', "shop.py": SVC},
        arguments=("--workers", "2"),
        says=("[tool.evox.data.intents.session] in pyproject.toml", "pyproject.toml:2"),
    ),
    Case(
        "intent_that_the_configuration_contradicts",
        {
            "evox.toml": '[data.intents.profile]\nttl = "5m"\nconsistency = "strong"\n',
            "shop.py": "from evox import data_intent\n"
            + SVC
            + 'profile = data_intent.define("profile", ttl="1m", fallback="aggressive")\n',
        },
        says=("[data.intents.profile] in evox.toml", "evox.toml:3"),
    ),
    Case(
        "fallback_that_is_none",
        {
            "shop.py": "from evox import data_intent\n"
            + SVC
            + '\n\n@data_intent.cacheable(fallback="always")\nclass Product: ...\n'
        },
        says=("shop.py:7",),
    ),
    Case(
        "intent_given_to_no_class",
        {"shop.py": "from evox import data_intent\n" + SVC + "made = data_intent.cacheable()(svc)\n"},
        says=("shop.py:5",),
    ),
]
MISSPELT = '[data.services]\nshpo = "sqlite:///x.db"\n'


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_C2_a_mistake_is_one_screen_that_says_what_why_and_how_to_mend_it(tmp_path: Path, case: Case) -> None:
    check(tmp_path, case)


@pytest.mark.parametrize(
    ("arguments", "env"), [(("shop.py",), {}), ((), {"EVOX_SERVICES": "shop.py"})], ids=["target", "environment"]
)
def test_a_backend_for_a_service_that_may_run_elsewhere_is_noted_and_stops_nothing(
    evox_run: Run, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    process = evox_run({"shop.py": SVC, "evox.toml": MISSPELT}, *arguments, "--json", env=env)
    (note,) = process.event("started")["notes"]
    assert "'shpo'" in note
    assert "'shop'" in note
    assert "evox.toml" in note
    assert process.end() == 0


def test_a_backend_for_a_service_of_the_project_that_is_not_run_now_is_right(evox_run: Run) -> None:
    files = {"shop.py": SVC, "other.py": SVC.replace("shop", "other"), "evox.toml": MISSPELT.replace("shpo", "shop")}
    process = evox_run(files, "--only", "other", "--json")
    assert process.event("started")["notes"] == []
    assert process.end() == 0
