"""``evox new``: what it makes passes its own checks and serves, and nothing that is there is ever changed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.forked import ended
from tests.support import FEW_PLUGINS, LIVENESS, EvoxProcess, Run, environment, free_port, write_files

import evox
from evox.config import Settings

SYNTAXES = ("function", "class", "both")
SERVICES = {"users2": "function", "order-items": "class", "user_svc": "both"}
PROJECT = [
    ".dockerignore",
    ".gitignore",
    "Dockerfile",
    "README.md",
    "compose.yaml",
    "pyproject.toml",
    "tests/conftest.py",
]


def run(
    folder: Path, line: Sequence[str], env: dict[str, str] | None = None, limit: float = LIVENESS
) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, without anything of this test run in its environment."""
    inherited = {name: value for name, value in environment(env).items() if not name.startswith("PYTEST_")}
    inherited |= FEW_PLUGINS
    return subprocess.run(
        line,
        cwd=folder,
        env=inherited,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


def new(folder: Path, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    """Run ``evox new``, and return what it wrote: to standard output, or to standard error where it fails."""
    done = ended("new", *arguments, cwd=folder, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def made(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run ``evox new`` with ``--json``."""
    facts: dict[str, Any] = json.loads(new(folder, *arguments, "--json"))
    return facts


def project(folder: Path, *services: str) -> Path:
    """Make a project ``shop`` with services, which listen on ports that are free."""
    new(folder, "pj", "shop", "--no-git")
    root = folder / "shop"
    with (root / "evox.toml").open("w", encoding="utf-8") as file:
        file.write(f"port = {free_port(5)}\n")
    for name in services:
        new(root, "sv", name)
    return root


def tree(folder: Path) -> dict[str, str]:
    """Return the text of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def checked(root: Path, *line: str, limit: float = LIVENESS) -> str:
    """Run a Python tool in a project. It must find nothing wrong."""
    done = run(root, [sys.executable, "-m", *line], limit=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that tests only look at, with a service in each syntax, each with a name of another form."""
    root = project(tmp_path_factory.mktemp("made"))
    for name, syntax in SERVICES.items():
        new(root, "sv", name, "--syntax", syntax)
    return root


def test_C3_what_is_made_passes_ruff(shop: Path) -> None:
    checked(shop, "ruff", "check", "--no-cache", ".")
    checked(shop, "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.timeout(90)  # mypy reads all of FastAPI and pydantic: ten seconds, where nobody else works
def test_C3_what_is_made_passes_mypy(shop: Path, tmp_path: Path) -> None:
    assert "no issues found in 10 source files" in checked(shop, "mypy", "--cache-dir", str(tmp_path), ".", limit=80)


@pytest.mark.parametrize("name", SERVICES)
def test_C3_the_tests_that_are_made_pass_on_both_loops(shop: Path, name: str) -> None:
    file = f"tests/test_{name.replace('-', '_')}.py"
    out = checked(shop, "pytest", "-v", "-W", "error", "-p", "no:cacheprovider", file)
    passed = re.findall(r"::test_\w+\[(trio|asyncio)\b.*PASSED", out)
    assert {loop: passed.count(loop) for loop in passed} == {"trio": 11, "asyncio": 11}


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_C3_a_project_with_one_loop_runs_and_is_tested_on_that(tmp_path: Path, backend: str, evox_run: Run) -> None:
    new(tmp_path, "pj", "shop", "--no-git", "--backend", backend)
    root = tmp_path / "shop"
    new(root, "sv", "users")
    out = checked(root, "pytest", "-v", "-p", "no:cacheprovider")
    assert "11 passed" in out
    checked(root, "ruff", "check", "--no-cache", ".")
    checked(root, "ruff", "format", "--no-cache", "--check", ".")
    assert tomllib.loads((root / "pyproject.toml").read_text())["tool"]["evox"]["backend"] == backend
    process = evox_run({}, "shop/users/service.py", "--port", "0", "--json")
    assert process.event("started")["loop"].startswith(backend)


def test_a_service_for_one_loop_is_tested_on_that(tmp_path: Path) -> None:
    root = project(tmp_path)
    facts = made(root, "sv", "users", "--backend", "asyncio")
    assert facts["next"][0] == "evox run --dev --backend asyncio"
    assert "11 passed" in checked(root, "pytest", "-v", "-p", "no:cacheprovider")
    checked(root, "ruff", "check", "--no-cache", ".")
    checked(root, "ruff", "format", "--no-cache", "--check", ".")


def test_C3_all_syntaxes_answer_alike(tmp_path: Path) -> None:
    root = project(tmp_path)
    ports = {one: made(root, "sv", f"users-{one}", "--syntax", one)["port"] for one in SYNTAXES}
    process = EvoxProcess(root, ("--json",), None)
    try:
        said = {one["name"]: one for one in process.event("started")["services"]}
        assert {name: one["url"] for name, one in said.items()} == {
            f"users-{one}": f"http://127.0.0.1:{port}" for one, port in ports.items()
        }
        assert [said[f"users-{one}"]["syntax"] for one in SYNTAXES] == ["functions", "classes", "functions and classes"]
        dialogues = [dialogue(process, f"users-{one}") for one in SYNTAXES]
        assert process.end() == 0
    finally:
        process.close()
    assert dialogues[0] == dialogues[1] == dialogues[2]
    assert [status for status, _ in dialogues[0]] == [201, 200, 200, 200, 204, 404, 404, 404, 422, 405, 200]


def dialogue(process: EvoxProcess, service: str) -> list[tuple[int, Any]]:
    """Return status and body of the answers to some requests, without what tells one service from another."""
    kind = f"User{service.removeprefix('users-').capitalize()}"
    names = {service: "SERVICE", service.replace("-", "_"): "SERVICE", kind: "KIND"}
    with process.client(service) as client:
        one = f"/{service}/{client.post(f'/{service}', json={'name': 'Bob'}).json()['id']}"
        names[one.rpartition("/")[2]] = "ID"
        answers = [
            client.post(f"/{service}", json={"name": "Ada", "note": "first"}),
            client.get(one),
            client.put(one, json={"name": "Ada"}),
            client.get(one),
            client.delete(one),
            client.delete(one),
            client.get(one),
            client.put(one, json={"name": "Ada"}),
            client.post(f"/{service}", json={"name": ""}),
            client.patch(one),
            client.get("/health/live"),
        ]
        names[answers[0].json()["id"]] = "ID"
        return [(one.status_code, said(one, names)) for one in answers]


def said(answer: httpx2.Response, names: dict[str, str]) -> str:
    """Return a body with other words for some."""
    text = answer.text
    for name, word in names.items():
        text = text.replace(name, word)
    return text


def test_C3_from_an_empty_folder_to_a_change_that_is_served(tmp_path: Path) -> None:
    assert new(tmp_path, "pj", "shop", "--no-git").splitlines()[-3:] == [
        "  cd shop",
        "  evox new sv users",
        "  evox run --dev",
    ]
    root, port = tmp_path / "shop", free_port(2)
    write_files(root, {"evox.toml": f"port = {port}\n"})
    assert new(root, "sv", "users").splitlines()[-3:-1] == [
        "  evox run --dev",
        f'  curl localhost:{port + 1}/users --json \'{{"name": "Ada"}}\'',
    ]
    process = EvoxProcess(root, ("--dev",), None)
    try:
        process.wait_line("Ctrl-C")
        url = f"http://127.0.0.1:{port + 1}/users"
        assert httpx2.post(url, json={"name": "Ada"}, trust_env=False).json()["note"] == ""
        service = root / "users" / "service.py"
        service.write_text(service.read_text().replace('note: str = ""', 'note: str = "changed"'))
        process.wait_error("changed: users/service.py")
        end = time.monotonic() + LIVENESS
        note = ""
        while note != "changed":
            assert time.monotonic() < end, process.err
            note = httpx2.post(f"http://127.0.0.1:{port + 1}/users", json={"name": "Ada"}, trust_env=False).json()[
                "note"
            ]
        assert process.end() == 0
    finally:
        process.close()


def test_a_project_has_these_files_and_says_what_to_do_next(tmp_path: Path) -> None:
    facts = made(tmp_path, "pj", "my_shop", "--no-git", "--syntax", "class")
    assert sorted(tree(tmp_path / "my_shop")) == PROJECT
    assert facts == {
        "event": "made",
        "schema": 1,
        "kind": "project",
        "name": "my_shop",
        "root": str(tmp_path / "my_shop"),
        "port": None,
        "dry_run": False,
        "files": [{"path": name, "bytes": len(text.encode())} for name, text in tree(tmp_path / "my_shop").items()],
        "notes": [],
        "next": ["cd my_shop", "evox new sv users --syntax class", "evox run --dev"],
    }
    readme = (tmp_path / "my_shop" / "README.md").read_text()
    assert "\n".join(facts["next"]) in readme


def test_a_project_depends_on_this_version_and_its_configuration_is_one_that_evox_reads(tmp_path: Path) -> None:
    root = project(tmp_path)
    table = tomllib.loads((root / "pyproject.toml").read_text())
    assert table["project"]["dependencies"] == [f"evox-framework>={evox.__version__}"]
    assert table["tool"]["mypy"]["strict"]
    assert Settings(**table["tool"]["evox"]).backend == "auto"


def composed_of(root: Path) -> Any:
    """Return what compose.yaml says."""
    return pytest.importorskip("yaml").safe_load((root / "compose.yaml").read_text())


def test_containers_are_ended_later_than_evox_needs_and_asked_for_their_health(tmp_path: Path) -> None:
    root = project(tmp_path)
    composed = composed_of(root)
    app = composed["services"]["app"]
    settings = Settings()
    assert int(app["stop_grace_period"].removesuffix("s")) > (
        settings.serving.drain_timeout + settings.runtime.shutdown_timeout
    )
    assert [name for name, one in composed["services"].items() if "profiles" not in one] == ["app"]
    lines = (root / "Dockerfile").read_text().splitlines()
    assert 'CMD ["evox", "run", "--host", "0.0.0.0"]' in lines
    assert "STOPSIGNAL SIGTERM" in lines
    assert "USER app" in lines
    probe = next(line for line in lines if "/health/live" in line)
    assert json.loads(probe.strip().removeprefix("CMD ")) == app["healthcheck"]["test"][1:]


def test_the_probe_of_a_container_says_whether_the_service_lives(tmp_path: Path, evox_run: Run) -> None:
    root = project(tmp_path, "users")
    process = evox_run({}, "shop/users/service.py", "--port", "0", "--json")
    composed = composed_of(root)
    _, _, option, script = composed["services"]["app"]["healthcheck"]["test"]
    here = script.replace("8001", str(process.address()[1]))
    assert run(root, [sys.executable, option, here]).returncode == 0
    process.end()
    assert run(root, [sys.executable, option, here]).returncode == 1


def test_a_project_is_a_repository_unless_it_is_not_to_be_or_lies_in_one(tmp_path: Path) -> None:
    new(tmp_path, "pj", "one")
    assert (tmp_path / "one" / ".git" / "HEAD").is_file()
    new(tmp_path, "pj", "two", "--no-git")
    assert not (tmp_path / "two" / ".git").exists()
    new(tmp_path / "one", "pj", "three")
    assert not (tmp_path / "one" / "three" / ".git").exists()


def test_without_git_a_project_is_made_all_the_same_and_it_is_told(tmp_path: Path) -> None:
    out = new(tmp_path, "pj", "shop", env={"PATH": str(tmp_path)})
    assert "note: git is not there, so the project is in no repository" in out.splitlines()
    assert sorted(tree(tmp_path / "shop")) == PROJECT


def test_services_of_one_project_have_different_ports(tmp_path: Path) -> None:
    new(tmp_path, "pj", "shop", "--no-git")
    root = tmp_path / "shop"
    assert [made(root, "sv", name)["port"] for name in ("users", "items")] == [8001, 8002]
    write_files(root, {"mine.py": 'from evox import service\n\nsvc = service("mine").port(8003)\n'})
    assert made(root, "sv", "orders")["port"] == 8004
    assert made(root / "users", "sv", "carts")["root"] == str(root)  # from anywhere in the project


@pytest.mark.parametrize("arguments", [["pj", "shop"], ["sv", "users"]], ids=" ".join)
def test_C3_a_dry_run_writes_nothing_and_tells_what_would_be_written(tmp_path: Path, arguments: list[str]) -> None:
    here = project(tmp_path) if arguments[0] == "sv" else tmp_path
    before = tree(tmp_path)
    facts = made(here, *arguments, "--dry-run")
    told = new(here, *arguments, "--dry-run")
    assert tree(tmp_path) == before
    assert facts == {**made(here, *arguments), "dry_run": True}
    assert "nothing is written" in told
    assert all(one["path"] in told for one in facts["files"])


def test_C3_nothing_is_written_while_a_single_file_is_in_the_way(tmp_path: Path) -> None:
    write_files(tmp_path, {"shop/README.md": "mine\n"})
    before = tree(tmp_path)
    said = new(tmp_path, "pj", "shop", code=2)
    assert said.splitlines()[0] == "error EVX-306: shop/README.md is in the way"
    assert tree(tmp_path) == before
    assert new(tmp_path, "pj", "shop", "--dry-run", code=2) == said


def test_C3_a_folder_that_is_empty_or_has_other_files_is_not_in_the_way(tmp_path: Path) -> None:
    write_files(tmp_path, {"shop/LICENSE": "mine\n"})
    new(tmp_path, "pj", "shop", "--no-git")
    assert sorted(tree(tmp_path / "shop")) == sorted([*PROJECT, "LICENSE"])


def test_C3_a_module_that_the_package_would_hide_is_in_the_way(tmp_path: Path) -> None:
    root = project(tmp_path)
    write_files(root, {"users.py": "answer = 42\n"})
    assert new(root, "sv", "users", code=2).startswith("error EVX-306: users.py is in the way\n")
    assert not (root / "users").exists()


@pytest.mark.skipif(shutil.which("sh") is None, reason="a limit on the size of files is set by a shell")
def test_C3_a_write_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    limited = f"ulimit -f 1; exec {sys.executable} -m evox new pj shop --no-git"
    done = run(tmp_path, ["sh", "-c", limited], {"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error EVX-304: cannot write ")
    assert os.listdir(tmp_path) == []  # noqa: PTH208  the bare names


def test_a_project_that_lists_its_services_is_told_to_list_the_new_one(tmp_path: Path) -> None:
    root = project(tmp_path)
    write_files(root, {"evox.toml": 'services = ["shop.py"]\n'})
    assert made(root, "sv", "users")["notes"] == ['[tool.evox] services lists what is run: add "users"']
    write_files(root, {"evox.toml": 'services = ["."]\n'})
    assert made(root, "sv", "items")["notes"] == []


def test_a_project_whose_pytest_does_not_run_async_tests_is_told_how(tmp_path: Path) -> None:
    write_files(tmp_path, {"evox.toml": ""})
    assert "anyio_mode" in made(tmp_path, "sv", "users")["notes"][0]


def test_with_a_gateway_the_address_is_the_gateways(tmp_path: Path) -> None:
    root = project(tmp_path)
    write_files(root, {"evox.toml": "gateway = true\nport = 9000\n"})
    assert made(root, "sv", "order-items")["next"][1].startswith("curl localhost:9000/order-items/order-items ")
