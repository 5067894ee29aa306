"""What ``evox new`` refuses: nothing is written then, and the whole output is held by a golden file."""

import json
import sys
from pathlib import Path

import pytest
from tests.cli.test_bad_input import ONE_SCREEN, held
from tests.cli.test_new import new, run, tree
from tests.support import command, write_files

FAILURES = {
    "new_project_files_in_the_way": (["pj", "shop"], {"shop/pyproject.toml": "", "shop/tests": ""}, 2),
    "new_service_files_in_the_way": (
        ["sv", "users"],
        {"evox.toml": "", "users/service.py": "", "users/__init__.py": "", "tests/test_users.py": ""},
        2,
    ),
    "new_name_of_no_form": (["pj", "MyShop"], {}, 2),
    "new_name_of_python": (["sv", "class"], {"evox.toml": ""}, 2),
    "new_name_of_the_standard_library": (["sv", "email"], {"evox.toml": ""}, 2),
    "new_name_of_evox": (["pj", "evox"], {}, 2),
    "new_name_of_a_package": (["sv", "fastapi"], {"evox.toml": ""}, 2),
    "new_name_of_a_service": (
        ["sv", "order-items"],
        {"evox.toml": "", "shop.py": 'from evox import service\n\nsvc = service("order_items")\n'},
        2,
    ),
    "new_name_of_what_every_service_answers": (["sv", "health"], {"evox.toml": ""}, 2),
    "new_name_of_tests": (["sv", "tests"], {"evox.toml": ""}, 2),
    "new_service_without_a_project": (["sv", "users"], {"pyproject.toml": '[project]\nname = "x"\n'}, 2),
    "new_service_in_a_broken_project": (["sv", "users"], {"evox.toml": "hots = 1\n"}, 78),
}


@pytest.mark.parametrize("name", FAILURES)
def test_C2_a_mistake_is_one_screen_that_says_what_why_and_how_to_mend_it(tmp_path: Path, name: str) -> None:
    arguments, files, code = FAILURES[name]
    write_files(tmp_path, files)
    before = tree(tmp_path)
    done = run(tmp_path, command("new", *arguments))
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) <= ONE_SCREEN
    assert tree(tmp_path) == before
    held(name, done.stderr.replace(str(tmp_path.resolve()), "<dir>"))


def test_C1_with_json_a_mistake_is_an_event_too(tmp_path: Path) -> None:
    done = run(tmp_path, command("new", "sv", "users", "--json"))
    assert (done.returncode, json.loads(done.stdout)["id"]) == (2, "EVX-307")


@pytest.mark.parametrize(
    "arguments", [["pj"], ["sv"], ["pk", "shop"], ["pj", "shop", "--syntax", "yaml"], ["sv", "a", "b"]], ids=" ".join
)
def test_C1_what_the_command_does_not_know_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    assert "Usage: evox new" in new(tmp_path, *arguments, code=2)


@pytest.mark.parametrize("arguments", [["--help"], ["pj", "--help"], ["sv", "--help"]], ids=" ".join)
def test_C1_help_shows_how_it_is_called_and_imports_nothing_for_that(tmp_path: Path, arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from evox.cli import main\n"
        f"code = main({['new', *arguments]})\n"
        "heavy = {'fastapi', 'pydantic', 'jinja2', 'evox.cli.scaffold'} & set(sys.modules)\n"
        "sys.stderr.write(f'{code} {sorted(heavy)}')\n"
    )
    done = run(tmp_path, [sys.executable, "-c", script])
    assert done.stderr == "0 []"
    assert "  evox new " in done.stdout
