"""``evox check``, ``evox routes`` and ``evox sync sv``: what there is to know of a project that does not run."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Evox
from tests.support import write_files

SHOP = """
from evox import Intent, auth, service

svc = service("shop").port(8101)


@svc.get("/items/{item}", priority="high")
@Intent(cacheable=True, ttl=600)
async def read_item(item: str) -> str:
    return item
"""
GUARDED = """
from evox import Controller, GET, ServiceBuilder, auth


@Controller("/books")
class Books:
    @GET("/{number}")
    @auth.require_roles("clerk")
    async def read_book(self, number: int) -> int:
        return number


svc = ServiceBuilder("books").port(8102)
svc.register_controller(Books)
"""


BAD_PRIORITY = """
from evox import service
svc = service("c")
@svc.get("/", priority="urgent")
async def root() -> None: ...
"""
BAD_PARAMETER = """
from evox import service
svc = service("d")
class Odd: ...
@svc.get("/")
async def root(odd: Odd) -> None: ...
"""
UV_LOCK = """
[[package]]
name = "anyio"
version = "0.1"
source = { registry = "https://pypi.org/simple" }
"""


def said(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_project_that_is_right_is_said_to_be(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, {"shop.py": SHOP, "books.py": GUARDED})
    done = evox("check", "--dev")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "all is well"
    assert "service 'shop': 1 endpoint" in done.stdout
    found = said(evox("check", "--dev", "--json"))
    assert (found["schema"], found["ok"]) == (1, True)
    assert [(one["name"], one["syntax"]) for one in found["services"]] == [("books", "classes"), ("shop", "functions")]


def test_everything_that_is_wrong_is_said_at_once(evox: Evox, tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "shop.py": SHOP,
            "bad_import.py": 'from evox import service\nsvc = service("a")\nimport no_such_library\n',
            "bad_syntax.py": 'from evox import service\nsvc = service("b")\ndef x(:\n',
            "bad_priority.py": BAD_PRIORITY,
            "bad_parameter.py": BAD_PARAMETER,
        },
    )
    done = evox("check")
    assert done.returncode == 78
    assert "4 things are wrong" in done.stdout
    assert [line.split()[1] for line in done.stderr.splitlines() if line.startswith("error ")] == [
        *("EVX-302:", "EVX-205:", "EVX-207:", "EVX-302:")
    ]
    for place in ("bad_import.py:3", "bad_syntax.py:3", "bad_priority.py:3", "bad_parameter.py:4"):
        assert place in done.stderr
    found = said(evox("check", "--json"))
    assert not found["ok"]
    assert [one["name"] for one in found["services"]] == ["shop"]
    assert sum(one["error"] is not None for one in found["steps"]) == 4


def test_what_services_do_to_each_other_is_seen_and_production_keys_are_asked_for(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, {"shop.py": SHOP, "books.py": GUARDED.replace("8102", "8101")})
    done = evox("check")
    assert done.returncode == 78
    assert "EVX-202" in done.stderr
    assert "EVX-108" in done.stderr
    write_files(tmp_path, {"books.py": GUARDED})
    assert evox("check").returncode == 78
    assert evox("check", "--dev").returncode == 0
    assert evox("check", "shop.py").returncode == 0


def test_nothing_is_run_by_a_check(evox: Evox, tmp_path: Path) -> None:
    hook = '\n\n@svc.on_startup\nasync def start() -> None:\n    open("started", "w").close()\n'
    write_files(tmp_path, {"shop.py": SHOP + hook, "evox.toml": '[data]\nbackend = "sqlite:///kept.db"\n'})
    for arguments in (("check",), ("routes",), ("sync", "sv")):
        assert evox(*arguments).returncode == 0
    assert {one.name for one in tmp_path.iterdir()} <= {"shop.py", "evox.toml", "__pycache__"}


def test_a_wrong_configuration_is_the_same_error_as_of_a_run(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, {"shop.py": SHOP, "evox.toml": "wokers = 2\n"})
    for arguments in (("check",), ("routes",), ("sync", "sv")):
        done = evox(*arguments)
        assert (done.returncode, done.stdout) == (78, "")
        assert "EVX-101" in done.stderr


def test_routes_lists_what_was_declared(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, {"shop.py": SHOP, "books.py": GUARDED})
    done = evox("routes")
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = (line.split() for line in done.stdout.splitlines())
    assert head == ["service", "method", "path", "name", "priority", "cache", "requires", "place"]
    assert rows[0] == ["books", "GET", "/books/{number}", "read_book", "medium", "clerk", "books.py:6"]
    assert rows[1] == ["shop", "GET", "/items/{item}", "read_item", "high", "600", "s", "shop.py:6"]
    found = said(evox("routes", "--service", "shop", "--json"))["routes"]
    assert [(one["service"], one["path"], one["syntax"]) for one in found] == [("shop", "/items/{item}", "function")]
    missing = evox("routes", "--service", "shopp")
    assert missing.returncode == 2
    assert "there are: books, shop" in missing.stderr


def test_what_nobody_may_call_is_said_by_routes_and_unsigned_calls_by_check(evox: Evox, tmp_path: Path) -> None:
    files = {"books.py": GUARDED + '\n\n@svc.get("/open")\nasync def read_open() -> None: ...\n'}
    toml = '[auth]\nkeys = ["env:KEY"]\n[peers.stock]\nurl = "https://stock.example"\n'
    write_files(tmp_path, files | {"evox.toml": toml})
    env = {"KEY": "k3y-of-this-test-that-is-long-enough-4711"}
    lines = evox("routes", env=env).stdout.splitlines()
    assert [line.split()[5] for line in lines[1:]] == ["clerk", "nobody"]
    checked = evox("check", env=env)
    assert checked.returncode == 0
    assert "calls to stock do not say for whom they are: name internal_keys" in checked.stdout
    write_files(tmp_path, {"evox.toml": toml.replace("[peers", 'internal_keys = ["env:KEY"]\n[peers')})
    assert "internal_keys" not in evox("check", env=env).stdout


PROJECT = """
[project]
name = "shop"
version = "0"
requires-python = ">=3.11"
dependencies = ["anyio>=4", "httpx2; python_version < '3'"]
"""


def test_sync_sv_lists_services_and_looks_at_what_they_need(evox: Evox, tmp_path: Path) -> None:
    anyio = importlib.metadata.version("anyio")
    lock = f"# made by rye\n-e file:.\nanyio=={anyio}\n    # via shop\nwinreg==1.0 ; sys_platform == 'win32'\n"
    write_files(tmp_path, {"shop.py": SHOP, "pyproject.toml": PROJECT, "requirements.lock": lock})
    done = evox("sync", "sv")
    assert (done.returncode, done.stderr) == (0, "")
    assert " shop.py:3 " in done.stdout
    assert "1 of 1 packages installed as they are locked" in done.stdout
    found = said(evox("sync", "sv", "--json"))
    assert [one["what"] for one in found["steps"]][-4:] == ["Python", "dependencies", "requirements.lock", "drivers"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"pyproject.toml": PROJECT.replace(">=3.11", "<3")}, "wants Python <3"),
        ({"pyproject.toml": PROJECT.replace(">=3.11", "three")}, "no version specifier"),
        ({"pyproject.toml": PROJECT.replace("anyio>=4", "no-such-library")}, "no-such-library is not installed"),
        ({"pyproject.toml": PROJECT.replace("anyio>=4", "anyio>=1000")}, ">=1000 is wanted"),
        ({"pyproject.toml": PROJECT.replace("anyio>=4", "any io")}, "cannot be read"),
        ({"requirements.lock": "anyio==0.1\n"}, "0.1 is locked"),
        ({"requirements.lock": "no-such-library==0.1\n"}, "no-such-library 0.1 is not installed"),
        ({"uv.lock": UV_LOCK}, "run uv sync"),
        ({"uv.lock": "[[package\n"}, "EVX-103"),
        ({"shop.py": SHOP + "\n1 / 0\n"}, "shop.py:11"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_sync_sv_ends_with_1_and_says_what_is_not_here(
    evox: Evox, tmp_path: Path, files: dict[str, str], why: str
) -> None:
    write_files(tmp_path, {"shop.py": SHOP} | files)
    done = evox("sync", "sv")
    assert done.returncode == 1
    assert why in done.stderr
    assert len(done.stderr.splitlines()) <= 25


@pytest.mark.parametrize("command", [("check",), ("routes",), ("sync", "sv")], ids=" ".join)
def test_what_a_module_prints_while_it_is_imported_is_no_part_of_the_answer(
    evox: Evox, tmp_path: Path, command: tuple[str, ...]
) -> None:
    # What broke: it stood before the JSON, on standard output, and no program could read that.
    write_files(tmp_path, {"shop.py": "print('loading the catalogue')\n" + SHOP})
    done = evox(*command, "--json")
    assert json.loads(done.stdout)["schema"] == 1
    assert "loading the catalogue" in done.stderr
    assert "loading the catalogue" not in evox(*command).stdout


def test_a_link_that_leads_nowhere_is_no_service(evox: Evox, tmp_path: Path) -> None:
    # What broke: a single such link anywhere in the project ended every command with a bare FileNotFoundError and 70.
    write_files(tmp_path, {"shop.py": SHOP})
    (tmp_path / "old.py").symlink_to(tmp_path / "gone.py")
    done = evox("check")
    assert (done.returncode, done.stderr) == (0, "")
