"""Discovery: what is chosen, what is left out, and what is said of both."""

import sys
from pathlib import Path

import pytest
from tests.unit.orchestrator.conftest import Project

from evox.errors import AmbiguousEndpoint, ImportFailed, NoService, TargetNotFound
from evox.orchestrator import Found, discover

FORMS = {
    "function": 'from evox import service\nsvc = service("{0}").port(1).build()\n',
    "core": 'from evox.core import service\nsvc = service("{0}")\n',
    "builder": 'from evox import ServiceBuilder\nsvc = ServiceBuilder("{0}")\n',
    "attribute": 'import evox\nsvc = evox.service("{0}")\n',
    "class": 'from evox import Service\nsvc: Service = Service("{0}")\n',
    "adopted": (
        'from fastapi import FastAPI\nfrom evox import Service\nsvc = Service.from_fastapi(FastAPI(), name="{0}")\n'
    ),
}


def code(name: str) -> str:
    return FORMS["function"].format(name)


def found(root: Path, *targets: str, configured: tuple[str, ...] = ()) -> list[Found]:
    return discover(targets, root, configured=configured)


def names(root: Path, *targets: str, configured: tuple[str, ...] = ()) -> list[str]:
    return [one.service.name for one in found(root, *targets, configured=configured)]


@pytest.mark.parametrize("form", FORMS)
def test_a_service_is_found_in_whatever_form_it_is_made(project: Project, form: str) -> None:
    assert names(project({"form_of_it.py": FORMS[form].format("made")})) == ["made"]


def test_services_are_found_in_folders_and_packages_in_the_order_of_their_paths(project: Project) -> None:
    root = project({"b1.py": code("b"), "a1/z1.py": code("z"), "c1/__init__.py": code("c"), "c1/d1.py": code("d")})
    assert names(root) == ["z", "b", "c", "d"]


def test_each_is_said_to_be_there_for_a_reason(project: Project) -> None:
    root = project({"reason1.py": code("a"), "reason2.py": code("b")})
    assert {one.why for one in found(root)} == {"found in the project: creates a service at its top level"}
    named = found(root, str(root / "reason1.py"))
    assert [(one.module, one.why) for one in named] == [("reason1", "named on the command line")]
    listed = found(root, configured=("reason2.py",))
    assert [one.why for one in listed] == ["listed in [tool.evox] services"]


@pytest.mark.parametrize(
    "path",
    [
        "test_it.py",
        "it_test.py",
        "conftest.py",
        "tests/it.py",
        "test/it.py",
        ".hidden/it.py",
        ".it.py",
        "venv/it.py",
        "node_modules/it.py",
        "build/it.py",
        "__pycache__/it.py",
        "deep/er/tests/it.py",
    ],
)
def test_tests_hidden_files_and_environments_are_left_out(project: Project, path: str) -> None:
    assert names(project({"main1.py": code("main"), path: code("left-out")})) == ["main"]


def test_a_virtual_environment_of_any_name_is_left_out(project: Project) -> None:
    assert names(project({"main2.py": code("main"), "mine/pyvenv.cfg": "", "mine/lib/it.py": code("no")})) == ["main"]


@pytest.mark.parametrize(
    "text",
    [
        "import evox\nraise SystemExit('imported')\n",
        'from evox import service\nif __name__ == "__main__":\n    raise SystemExit\n',
        'from evox import service\n\ndef make():\n    return service("inside")\n\nraise SystemExit\n',
        "raise SystemExit('imported')\n",
        '"""evox"""\nraise SystemExit\n',
    ],
)
def test_a_file_that_makes_no_service_at_its_top_level_is_not_even_imported(project: Project, text: str) -> None:
    assert names(project({"main3.py": code("main"), "other3.py": text})) == ["main"]


def test_a_file_that_was_named_is_imported_whatever_is_in_it(project: Project) -> None:
    text = 'from evox import service\n\ndef make():\n    return service("made")\n\nif True:\n    svc = make()\n'
    root = project({"factory4.py": text})
    assert names(root, str(root / "factory4.py")) == ["made"]


def test_a_service_is_found_where_it_was_made_and_once(project: Project) -> None:
    root = project({"made5.py": code("a"), "uses5.py": "from made5 import svc\n" + code("b").replace("svc", "own")})
    assert [(one.service.name, one.module) for one in found(root)] == [("a", "made5"), ("b", "uses5")]


def test_a_service_made_elsewhere_is_found_in_the_module_that_was_named(project: Project) -> None:
    root = project({"made6.py": code("a"), "main6.py": "from made6 import svc\n"})
    assert names(root, "main6") == ["a"]


def test_a_target_named_twice_is_one_service(project: Project) -> None:
    root = project({"twice7.py": code("a")})
    assert names(root, "twice7", str(root / "twice7.py"), str(root), "twice7:svc") == ["a"]


def test_files_of_one_name_in_two_folders_are_two_modules(project: Project) -> None:
    root = project({"a8/main8.py": code("a"), "b8/main8.py": code("b")})
    assert names(root) == ["a", "b"]


def test_a_file_whose_name_is_taken_and_which_is_named_twice_is_one_service(project: Project) -> None:
    root = project({"a9/main9.py": code("a"), "b9/main9.py": code("b")})
    assert names(root, str(root), str(root / "b9" / "main9.py")) == ["a", "b"]


def test_a_file_named_like_a_module_of_the_standard_library_is_the_users_own(project: Project) -> None:
    assert names(project({"shop10/json.py": code("a"), "shop10/types.py": code("b")})) == ["a", "b"]


def test_each_of_two_folders_imports_the_module_beside_it(project: Project) -> None:
    main = "from models11 import NAME\nfrom evox import service\nsvc = service(NAME)\n"
    root = project(
        {
            "a11/main11.py": main,
            "a11/models11.py": 'NAME = "a"\n',
            "b11/main11.py": main,
            "b11/models11.py": 'NAME = "b"\n',
        }
    )
    assert names(root) == ["a", "b"]


def test_a_module_of_a_package_is_imported_under_its_full_name(project: Project) -> None:
    files = {"shop12/__init__.py": "", "shop12/names.py": 'NAME = "a"\n'}
    files["shop12/main.py"] = "from .names import NAME\nfrom evox import service\nsvc = service(NAME)\n"
    root = project(files)
    assert [(one.service.name, one.module) for one in found(root)] == [("a", "shop12.main")]
    assert "shop12.main" in sys.modules


def test_a_folder_that_links_to_itself_is_searched_once(project: Project) -> None:
    root = project({"main13.py": code("a"), "below/other13.py": code("b")})
    (root / "below" / "up").symlink_to(root)
    (root / "below" / "again").symlink_to(root)  # two links, each followed as far as it goes, never came to an end
    assert sorted(names(root)) == ["a", "b"]


def test_an_attribute_picks_one_service_of_a_module(project: Project) -> None:
    root = project({"both14.py": code("a") + 'other = service("b")\n'})
    assert names(root, "both14:other") == ["b"]


def test_an_attribute_that_is_no_service_is_refused(project: Project) -> None:
    root = project({"both15.py": code("a") + "number = 1\n"})
    with pytest.raises(NoService, match="both15:number"):
        found(root, "both15:number")


@pytest.mark.parametrize("target", ["nowhere16", "nowhere16.py", "./nowhere16", "nowhere16.main:svc"])
def test_a_target_that_is_not_there_is_refused(project: Project, target: str) -> None:
    with pytest.raises(TargetNotFound, match="nowhere16"):
        found(project({}), target)


@pytest.mark.parametrize("first", ["main17.py", "."])
def test_every_target_has_to_have_a_service(project: Project, first: str) -> None:
    root = project({"main17.py": code("a"), "empty17/nothing.py": "answer = 42\n"})
    with pytest.raises(NoService, match="empty17"):
        found(root, str(root / first), str(root / "empty17"))


def test_every_entry_of_the_configuration_has_to_have_a_service(project: Project) -> None:
    root = project({"main18.py": code("a"), "plain18.py": "answer = 42\n"})
    with pytest.raises(NoService, match="plain18"):
        found(root, configured=("main18.py", "plain18.py"))


def test_a_module_with_an_app_and_no_service_says_how_to_make_one(project: Project) -> None:
    root = project({"api19.py": "from fastapi import FastAPI\n\nbackend = FastAPI()\n"})
    with pytest.raises(NoService) as caught:
        found(root, "api19")
    assert 'Service.from_fastapi(backend, name="api19")' in str(caught.value)


def test_an_error_in_user_code_says_which_line(project: Project) -> None:
    root = project({"fails20.py": code("a") + "1 / 0\n"})
    with pytest.raises(ImportFailed, match="division by zero") as caught:
        found(root)
    assert caught.value.place is not None
    assert (Path(caught.value.place.file).name, caught.value.place.line) == ("fails20.py", 3)


def test_a_module_level_endpoint_without_a_service_is_refused(project: Project) -> None:
    root = project({"alone21.py": 'from evox.core import get\n\n\n@get("/")\nasync def root(): ...\n'})
    with pytest.raises(AmbiguousEndpoint, match="root"):
        found(root, "alone21")


@pytest.mark.parametrize("before", [True, False])
def test_a_module_level_endpoint_belongs_to_the_one_service_of_its_module(project: Project, before: bool) -> None:
    head, made = "from evox.core import get, service\n", 'svc = service("a")\n'
    endpoint = '\n\n@get("/")\nasync def root(): ...\n\n\n'
    root = project({f"one22{before}.py": head + (made + endpoint if before else endpoint + made)})
    assert [row.name for row in found(root)[0].service.endpoints] == ["root"]


def test_a_module_level_endpoint_is_not_lost_when_a_function_elsewhere_made_the_service(project: Project) -> None:
    root = project(
        {
            "lib23.py": "from evox import service\n\n\ndef make(name):\n    return service(name)\n",
            "main23.py": "from evox.core import get\nfrom lib23 import make\n\n"
            'svc = make("a")\n\n\n@get("/")\nasync def root(): ...\n',
        }
    )
    assert [row.name for row in found(root, "main23")[0].service.endpoints] == ["root"]


def test_a_module_level_endpoint_is_not_lost_when_its_service_was_imported(project: Project) -> None:
    root = project(
        {
            "made24.py": code("a"),
            "main24.py": 'from evox.core import get\nfrom made24 import svc\n\n\n@get("/")\nasync def root(): ...\n',
        }
    )
    try:
        rows = found(root, "main24")[0].service.endpoints
    except AmbiguousEndpoint:
        return  # said, not lost
    assert [row.name for row in rows] == ["root"]
