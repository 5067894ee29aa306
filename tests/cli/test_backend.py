"""Which loop ``evox run`` takes, and that the banner says why."""

import pytest
from tests.support import Run

SERVICE = """
from evox import service

svc = service("looped").port(0)


@svc.get("/loop")
async def loop() -> str:
    import sniffio

    return sniffio.current_async_library()
"""
ADOPTED = """
from fastapi import FastAPI

from evox import Service

app = FastAPI()


@app.get("/loop")
async def loop() -> str:
    import sniffio

    return sniffio.current_async_library()


svc = Service.from_fastapi(app, name="old-app")
"""


def test_auto_is_trio(evox_run: Run) -> None:
    process = evox_run({"looped.py": SERVICE}, "--json")
    assert process.event("started")["loop"].startswith("trio (auto")
    assert process.get("/loop").json() == "trio"


@pytest.mark.parametrize("wanted", ["trio", "asyncio"])
def test_the_command_line_decides(evox_run: Run, wanted: str) -> None:
    process = evox_run({"looped.py": SERVICE}, "--json", "--backend", wanted, env={"EVOX_BACKEND": "auto"})
    loop = process.event("started")["loop"]
    assert loop.startswith(wanted)
    assert "the command line" in loop
    assert process.get("/loop").json() == wanted


def test_the_environment_decides(evox_run: Run) -> None:
    process = evox_run({"looped.py": SERVICE}, "--json", env={"EVOX_BACKEND": "asyncio"})
    loop = process.event("started")["loop"]
    assert loop.startswith("asyncio")
    assert "the environment" in loop


def test_the_configuration_decides(evox_run: Run) -> None:
    process = evox_run({"looped.py": SERVICE, "evox.toml": 'backend = "asyncio"\n'}, "--json")
    loop = process.event("started")["loop"]
    assert loop.startswith("asyncio")
    assert "evox.toml" in loop


def test_an_existing_fastapi_app_takes_asyncio_and_the_banner_says_so(evox_run: Run) -> None:
    process = evox_run({"old.py": ADOPTED}, "--json", "--port", "0")
    loop = process.event("started")["loop"]
    assert loop.startswith("asyncio")
    assert "'old-app'" in loop
    assert "FastAPI app" in loop
    assert process.get("/loop").json() == "asyncio"


def test_an_existing_fastapi_app_takes_trio_when_told_to(evox_run: Run) -> None:
    process = evox_run({"old.py": ADOPTED}, "--json", "--port", "0", "--backend", "trio")
    assert process.get("/loop").json() == "trio"


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("asyncpg", "import asyncpg"),
        ("redis.asyncio", "import redis.asyncio"),
        ("sqlalchemy.ext.asyncio", "from sqlalchemy.ext.asyncio import __name__ as _"),
    ],
)
def test_an_import_of_an_asyncio_only_library_takes_asyncio_and_the_banner_names_it(
    evox_run: Run, package: str, line: str
) -> None:
    parts = package.split(".")
    stubs = {f"stubs/{'/'.join(parts[: count + 1])}/__init__.py": "" for count in range(len(parts))}
    process = evox_run({"looped.py": f"{line}\n{SERVICE}", **stubs}, "looped.py", "--json", env={"PYTHONPATH": "stubs"})
    loop = process.event("started")["loop"]
    assert loop.startswith("asyncio")
    assert package in loop


def test_an_import_of_a_librarys_other_half_does_not_take_asyncio(evox_run: Run) -> None:
    stubs = {"stubs/redis/__init__.py": "", "stubs/redis/asyncio/__init__.py": ""}
    files = {"looped.py": f"import redis\n{SERVICE}", **stubs}
    process = evox_run(files, "looped.py", "--json", env={"PYTHONPATH": "stubs"})
    assert process.event("started")["loop"].startswith("trio")


ASYNCIO_ONLY = """
import asyncio

from evox import service

svc = service("asyncio-only").port(0)


@svc.get("/sleep")
async def sleep() -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    return "slept"


@svc.get("/task")
async def task() -> str:
    await asyncio.create_task(asyncio.sleep(0))
    return "done"


@svc.get("/future")
async def future() -> str:
    await asyncio.get_running_loop().create_future()
    return "never"


@svc.get("/timeout")
async def timeout() -> str:
    async with asyncio.timeout(1):
        return "in time"


@svc.get("/own")
async def own() -> str:
    raise RuntimeError("a bug of the user")
"""


@pytest.mark.parametrize("path", ["/sleep", "/task", "/future", "/timeout"])
def test_asyncio_only_code_in_a_handler_under_trio_is_a_500_that_names_the_option(evox_run: Run, path: str) -> None:
    process = evox_run({"only.py": ASYNCIO_ONLY}, "--json", "--backend", "trio")
    answer = process.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "--backend asyncio" in answer.json()["detail"]
    assert process.get("/health").status_code == 200
    assert process.end() == 0
    entries = [line for line in process.err.splitlines() if "--backend asyncio" in line]
    assert len(entries) == 1
    assert process.err.count('"level": "ERROR"') == 1


def test_a_bug_of_the_user_under_trio_is_not_taken_for_asyncio_only_code(evox_run: Run) -> None:
    process = evox_run({"only.py": ASYNCIO_ONLY}, "--json", "--backend", "trio")
    assert process.get("/own").status_code == 500
    assert process.end() == 0
    assert "--backend asyncio" not in process.err


def test_asyncio_only_code_works_on_asyncio(evox_run: Run) -> None:
    process = evox_run({"only.py": ASYNCIO_ONLY}, "--json", "--backend", "asyncio")
    for path in ("/sleep", "/task", "/timeout"):
        assert process.get(path).status_code == 200
