"""What a user can get wrong, one case each: the whole output is held by a golden file beside this one.

``UPDATE_GOLDEN=1`` writes the files anew; read them before they are committed.
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from tests.forked import ended
from tests.support import MARK, Run, pids_of, write_files

GOLDEN = Path(__file__).parent / "golden"
ONE_SCREEN = 25
SVC = 'from evox import service\n\nsvc = service("shop").port(0)\n'


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        name: Of the golden file.
        files: The user's code.
        code: The exit code.
        arguments: After ``evox run``.
        env: Added to the environment.
        says: What the output must have in it, whatever else the golden file holds.
        never: What it must not have in it.
    """

    name: str
    files: Mapping[str, str]
    code: int = 78
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


CASES = [
    Case("two_services_of_one_name", {"a.py": SVC, "b.py": SVC}),
    Case(
        "two_services_of_names_that_differ_in_dashes",
        {"a.py": SVC.replace("shop", "the-shop"), "b.py": SVC.replace("shop", "the_shop")},
        says=("'the-shop'", "'the_shop'"),
    ),
    Case(
        "two_services_of_one_port",
        {
            "a.py": 'from evox import service\n\nsvc = service("first").port(8765)\n',
            "b.py": 'from evox import service\n\nsvc = service("second").port(8765)\n',
        },
    ),
    Case("no_service_in_module", {"plain.py": "answer = 42\n"}, arguments=("plain.py",)),
    Case(
        "fastapi_app_without_service",
        {"api.py": "from fastapi import FastAPI\n\napplication = FastAPI()\n"},
        arguments=("api",),
        says=('svc = Service.from_fastapi(application, name="api")',),
    ),
    Case("no_service_in_folder", {"plain.py": "answer = 42\n"}),
    Case(
        "no_service_in_folder_with_a_fastapi_app",
        {"api.py": "from fastapi import FastAPI\n\napplication = FastAPI()\n"},
    ),
    Case("attribute_is_no_service", {"shop.py": SVC + "answer = 42\n"}, arguments=("shop:answer",)),
    Case("import_error", {"shop.py": SVC + "import no_such_library\n"}),
    Case("import_error_deeper", {"shop.py": SVC + "import deeper\n", "deeper.py": "\n\n1 / 0\n"}),
    Case("exit_at_import", {"shop.py": SVC + "raise SystemExit(3)\n"}),
    Case("syntax_error", {"shop.py": SVC + "\n\ndef broken(:\n    pass\n"}),
    Case(
        "unbindable_parameter",
        {"shop.py": SVC + '\n\nclass Odd: ...\n\n\n@svc.get("/")\nasync def root(odd: Odd) -> str:\n    return "x"\n'},
    ),
    Case(
        "star_arguments",
        {"shop.py": SVC + '\n\n@svc.get("/")\nasync def root(**options: str) -> str:\n    return "x"\n'},
    ),
    Case(
        "param_not_in_path",
        {
            "shop.py": "from evox import Param\n"
            + SVC
            + '\n\n@svc.get("/users/{uid}")\nasync def root(user_id: str = Param()) -> str:\n    return "x"\n'
        },
        never=("annotate it with a type",),
    ),
    Case(
        "two_handlers_on_one_path",
        {
            "shop.py": SVC
            + '\n\n@svc.get("/users/{uid}")\nasync def first(uid: str) -> str:\n    return "1"\n'
            + '\n\n@svc.get("/users/{name}")\nasync def second(name: str) -> str:\n    return "2"\n'
        },
    ),
    Case(
        "handler_on_the_health_path",
        {"shop.py": SVC + '\n\n@svc.get("/health")\nasync def root() -> str:\n    return "x"\n'},
        never=("None",),
    ),
    Case(
        "interval_of_zero", {"shop.py": SVC + "\n\n@svc.background_task(interval=0)\nasync def tidy() -> None: ...\n"}
    ),
    Case(
        "interval_that_does_not_parse",
        {"shop.py": SVC + '\n\n@svc.background_task(interval="often")\nasync def tidy() -> None: ...\n'},
    ),
    Case(
        "duration_that_does_not_parse",
        {"shop.py": SVC + '\n\n@svc.get("/", cache="soon")\nasync def root() -> str:\n    return "x"\n'},
    ),
    Case(
        "priority_that_is_none",
        {"shop.py": SVC + '\n\n@svc.get("/", priority="urgent")\nasync def root() -> str:\n    return "x"\n'},
    ),
    Case(
        "priority_of_a_controller_that_is_none",
        {
            "shop.py": "from evox import GET, Controller\n"
            + SVC
            + '\n\n@Controller("/items", priority="urgent")\nclass Items:\n    @GET("/")\n'
            + '    async def read(self) -> str:\n        return "x"\n\n\nsvc.register_controller(Items)\n'
        },
        says=("shop.py:7", "urgent", '"high", "medium" and "low"'),
    ),
    Case(
        "concurrency_of_no_seats",
        {"shop.py": 'from evox import service\n\nsvc = service("shop").port(0).concurrency(total=0)\n'},
        says=("shop.py:3", "total=0"),
    ),
    Case(
        "concurrency_with_a_reserve_above_total",
        {
            "shop.py": "from evox import service\n\n"
            'svc = service("shop").port(0).concurrency(total=2, reserve={"high": 2, "low": 1})\n'
        },
        says=("shop.py:3", "reserve=", "3 seats"),
    ),
    Case(
        "unknown_endpoint_option",
        {"shop.py": SVC + '\n\n@svc.get("/", cahce="1h")\nasync def root() -> str:\n    return "x"\n'},
    ),
    Case(
        "unknown_option",
        {"pyproject.toml": '[project]\nname = "x"\n\n[tool.evox]\nhots = "0.0.0.0"\n', "shop.py": SVC},
    ),
    Case("unknown_nested_option", {"evox.toml": '[serving]\ndrain_dealy = "1s"\n', "shop.py": SVC}),
    Case("bad_value_in_file", {"evox.toml": "port = 99999\n", "shop.py": SVC}),
    Case("bad_value_in_environment", {"shop.py": SVC}, env={"EVOX_SERVING__BACKLOG": "many"}),
    Case("bad_backend_in_environment", {"shop.py": SVC}, env={"EVOX_BACKEND": "gevent"}),
    Case("bad_table_in_environment", {"shop.py": SVC}, env={"EVOX_SERVING": "{"}, says=("EVOX_SERVING",)),
    Case(
        "priority_of_no_seats",
        {"pyproject.toml": '[project]\nname = "x"\n\n[tool.evox.priority]\ntotal = 0\n', "shop.py": SVC},
        says=("pyproject.toml:5",),
    ),
    Case(
        "priority_with_a_level_above_total",
        {"evox.toml": "[priority]\ntotal = 10\nlow = 11\n", "shop.py": SVC},
        says=("evox.toml:3", "11", "10"),
    ),
    Case(
        "priority_with_a_reserve_above_total",
        {"evox.toml": "[priority]\ntotal = 10\nreserve = { high = 6, low = 5 }\n", "shop.py": SVC},
        says=("evox.toml:3", "11", "10"),
    ),
    Case(
        "priority_with_a_reserve_for_an_unknown_level",
        {"evox.toml": "[priority.reserve]\nurgent = 1\n", "shop.py": SVC},
        says=("evox.toml:2", "urgent", "high, low, medium"),
    ),
    Case(
        "priority_with_a_queue_below_zero",
        {"evox.toml": "[priority]\nqueue = -1\n", "shop.py": SVC},
        says=("evox.toml:2", "priority.queue"),
        never=("queue.high",),
    ),
    Case(
        "priority_with_a_queue_below_zero_in_environment",
        {"shop.py": SVC},
        env={"EVOX_PRIORITY__QUEUE": "-1"},
        never=("Bounds",),
    ),
    Case("broken_toml", {"evox.toml": "port = = 1\n", "shop.py": SVC}),
    Case("unknown_only", {"shop.py": SVC}, arguments=("--only", "shpo"), never=("create one",)),
    Case("target_not_found", {"shop.py": SVC}, 2, ("shpo.py",)),
    Case("target_is_no_python_file", {"shop.py": SVC, "notes.txt": "x"}, 2, ("notes.txt",)),
    Case(
        "service_in_configuration_not_found",
        {"shop.py": SVC, "evox.toml": 'services = ["shpo"]\n'},
        2,
        says=("evox.toml",),
    ),
    Case("unknown_dependency", {"shop.py": SVC + 'svc.depends_on("stock")\n'}),
    Case(
        "dependencies_in_a_circle",
        {
            "shop.py": SVC + 'svc.depends_on("stock")\n',
            "stock.py": 'from evox import service\n\nsvc = service("stock").port(0).depends_on("shop")\n',
        },
    ),
    Case("bad_service_name", {"shop.py": 'from evox import service\n\nsvc = service("the shop")\n'}),
    Case(
        "asyncio_only_start_up",
        {
            "shop.py": "import asyncio\n\n"
            + SVC
            + "\n\n@svc.on_startup\nasync def connect() -> None:\n    await asyncio.sleep(0.01)\n"
        },
        arguments=("--backend", "trio"),
    ),
    Case(
        "start_up_hook_raises",
        {
            "shop.py": SVC
            + '\n\ndef connect() -> None:\n    raise ConnectionError("no database")\n'
            + "\n\n@svc.on_startup\nasync def up() -> None:\n    connect()\n"
        },
        1,
    ),
    Case(
        "lifespan_raises",
        {
            "shop.py": SVC
            + '\n\n@svc.lifespan\nasync def life():\n    raise ConnectionError("no database")\n    yield\n'
        },
        1,
    ),
    Case(
        "start_up_hook_times_out",
        {
            "shop.py": "import anyio\n\n"
            + SVC
            + "svc.start_timeout(0.2)\n\n\n@svc.on_startup\nasync def up() -> None:\n    await anyio.sleep(60)\n"
        },
        1,
    ),
    Case("address_of_another_machine", {"shop.py": SVC}, arguments=("--host", "192.0.2.1")),
    Case(
        "module_level_endpoint_of_two_services",
        {
            "shop.py": "from evox.core import get, service\n\n"
            'first = service("first").port(0)\nsecond = service("second").port(0)\n'
            '\n\n@get("/")\nasync def root() -> str:\n    return "x"\n'
        },
    ),
    Case(
        "module_level_endpoint_without_a_service",
        {"shop.py": 'from evox.core import get\n\n\n@get("/")\nasync def root() -> str:\n    return "x"\n'},
        arguments=("shop.py",),
    ),
    Case(
        "class_that_is_no_controller",
        {"shop.py": SVC + "\n\nclass Items: ...\n\n\nsvc.register_controller(Items)\n"},
        says=("shop.py:",),
    ),
]


def normalized(text: str, folder: Path) -> str:
    """Take out what differs from run to run and between versions of Python."""
    return text.replace(str(folder.resolve()), "<dir>").replace(str(folder), "<dir>")


def held(name: str, text: str) -> None:
    """Compare with the golden file, or write it when asked to."""
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def check(folder: Path, case: Case) -> None:
    """Run a case, and see that what it writes is what the golden file holds."""
    mark = uuid4().hex
    write_files(folder, case.files)
    done = ended("run", *case.arguments, cwd=folder, env={**case.env, MARK: mark})
    assert (done.returncode, done.stdout) == (case.code, ""), done.stderr
    assert len(done.stderr.splitlines()) <= ONE_SCREEN
    assert re.match(r"error EVX-\d{3}: ", done.stderr)
    assert "\n  fix  " in done.stderr
    assert pids_of(mark) == []
    assert [text for text in case.says if text not in done.stderr] == [], done.stderr
    assert [text for text in case.never if text in done.stderr] == [], done.stderr
    held(case.name, normalized(done.stderr, folder))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_C2_a_mistake_is_one_screen_that_says_what_why_and_how_to_mend_it(tmp_path: Path, case: Case) -> None:
    check(tmp_path, case)


def test_V1_a_busy_port_is_exit_69_on_one_screen_and_no_banner(evox_run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        process = evox_run({"shop.py": SVC}, "--port", str(port))
        assert process.wait() == 69
    assert process.out == ""
    assert len(process.err.splitlines()) <= ONE_SCREEN
    held("port_busy", normalized(process.err, process.folder).replace(str(port), "<port>"))


def test_V1_a_busy_port_ends_it_before_any_hook_runs(evox_run: Run) -> None:
    hook = "\n\n@svc.on_startup\nasync def up() -> None:\n    open('ran', 'w').close()\n"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        process = evox_run({"shop.py": SVC + hook}, "--port", str(busy.getsockname()[1]))
        assert process.wait() == 69
    assert not (process.folder / "ran").exists()


def test_C1_with_json_an_error_is_an_event_too(evox_run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        process = evox_run({"shop.py": SVC}, "--json", "--port", str(busy.getsockname()[1]))
        assert process.wait() == 69
    assert [(one["event"], one["id"]) for one in process.events] == [("error", "EVX-501")]


def test_C1_with_json_an_error_before_the_start_is_an_event_too(evox_run: Run) -> None:
    process = evox_run({"plain.py": "answer = 42\n"}, "--json")
    assert process.wait() == 78
    assert [(one["event"], one["id"]) for one in process.events] == [("error", "EVX-203")]


def test_C2_trace_shows_the_whole_traceback(evox_run: Run) -> None:
    process = evox_run({"shop.py": SVC + "1 / 0\n"}, "--trace")
    assert process.wait() == 78
    assert "Traceback (most recent call last):" in process.err


def test_R3_a_start_that_fails_shuts_down_what_had_started(evox_run: Run, backend: str) -> None:
    first = SVC + "\n\n@svc.on_shutdown\nasync def down() -> None:\n    open('ran', 'w').close()\n"
    second = (
        'from evox import service\n\nsvc = service("stock").port(0).depends_on("shop")\n'
        '\n\n@svc.on_startup\nasync def up() -> None:\n    raise ValueError("no stock")\n'
    )
    process = evox_run({"shop.py": first, "stock.py": second}, "--backend", backend)
    assert process.wait() == 1
    assert (process.folder / "ran").exists()
    assert process.out == ""
    assert process.err.count("no stock") <= 2  # the reason, and the user's line
    assert len(process.err.splitlines()) <= ONE_SCREEN


def test_R3_a_hook_that_fails_in_a_group_is_shown_as_its_causes(evox_run: Run, backend: str) -> None:
    hook = (
        "\n\n@svc.on_startup\nasync def up() -> None:\n    async with anyio.create_task_group() as group:\n"
        "        group.start_soon(fail)\n\n\nasync def fail() -> None:\n    raise ValueError('deep inside')\n"
    )
    process = evox_run({"shop.py": "import anyio\n\n" + SVC + hook}, "--backend", backend)
    assert process.wait() == 1
    assert "ValueError: deep inside" in process.err
    assert "ExceptionGroup" not in process.err
    assert "shop.py:15" in process.err
