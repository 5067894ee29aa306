"""``evox token`` beside ``evox run --dev``: what one issues the other accepts, wherever the code is."""

import shlex
import subprocess
from pathlib import Path

import httpx2
from tests.forked import ended
from tests.support import Run, free_port

SERVICE = """
from evox import service
from evox.core import auth

svc = service("asking").port({port})


@svc.get("/me")
@auth.require_roles("admin")
async def me() -> str:
    return auth.current().subject
"""


def token(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ended("token", *arguments, cwd=folder)


def ask(port: int, bearer: str) -> tuple[int, str]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        reply = client.get("/me", headers={"authorization": f"Bearer {bearer}"})
        return reply.status_code, reply.text


def told(line: str) -> list[str]:
    """Return the arguments of the command that a note names."""
    return shlex.split(line.partition("get one: evox token ")[2])


def test_the_command_that_the_banner_names_issues_what_is_accepted_wherever_the_code_is(evox_run: Run) -> None:
    port = free_port()
    process = evox_run({"an app/asking.py": SERVICE.format(port=port)}, "an app", "--dev")
    arguments = told(process.wait_line("get one:"))
    process.wait_line("Ctrl-C")
    assert arguments[-1] == "an app"
    issued = token(process.folder, *arguments)
    assert issued.returncode == 0
    assert ask(port, issued.stdout.strip()) == (200, '"ada"')
    assert ask(port, token(process.folder, "--role", "admin").stdout.strip())[0] == 401


def test_in_the_project_itself_nothing_has_to_be_named(evox_run: Run) -> None:
    port = free_port()
    files = {"evox.toml": "", "app/asking.py": SERVICE.format(port=port)}
    process = evox_run(files, "app", "--dev")
    arguments = told(process.wait_line("get one:"))
    process.wait_line("Ctrl-C")
    assert arguments == ["--role", "admin", "--sub", "ada"]
    assert ask(port, token(process.folder, *arguments).stdout.strip()) == (200, '"ada"')


def test_the_key_that_a_start_makes_is_no_change_that_starts_it_anew(evox_run: Run) -> None:
    port = free_port()
    process = evox_run({"asking.py": SERVICE.format(port=port)}, "asking.py", "--dev")
    process.wait_line("Ctrl-C")
    assert (process.folder / ".evox" / "dev-key.json").is_file()
    (process.folder / "asking.py").write_text(SERVICE.format(port=port) + "# saved\n", encoding="utf-8")
    process.wait_error("evox dev: changed: asking.py")
    assert process.err.count("evox dev: changed:") == 1


def test_what_is_not_there_has_no_token(tmp_path: Path) -> None:
    done = token(tmp_path, "admin")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'admin' does not exist" in done.stderr
    assert not (tmp_path / ".evox").exists()
