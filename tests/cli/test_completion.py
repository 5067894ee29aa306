"""``evox completion``: what the shell offers, as bash itself sees it where that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Evox
from tests.support import environment, write_files

BASH = shutil.which("bash")
FILES = {
    "shop/service.py": 'from evox import service\n\nsvc = service("shop")\n',
    "stock.py": 'from evox import ServiceBuilder\n\nsvc = ServiceBuilder(\n    "stock-keeper"\n).port(8002)\n',
    "old.py": 'import evox\nsvc = evox.Service.from_fastapi(app, name="old")\n',
    "other.py": 'svc = service("not-of-evx")\n',
    "tests/test_it.py": 'from evox import service\nsvc = service("made-for-tests")\n',
    ".venv/x.py": 'from evox import service\nsvc = service("hidden")\n',
}


def offered(evox: Evox, words: str, position: int) -> set[str]:
    env = {"_EVOX_COMPLETE": "bash_complete", "COMP_WORDS": f"evox {words}", "COMP_CWORD": str(position)}
    done = evox(env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return {line.partition(",")[2] for line in done.stdout.splitlines()}


def test_commands_options_and_services_are_offered(evox: Evox, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    assert offered(evox, "ru", 1) == {"run"}
    assert {"invalidate"} == offered(evox, "cache ", 2)
    assert offered(evox, "run --onl", 2) == {"--only"}
    assert offered(evox, "run --only ", 3) == {"shop", "stock-keeper", "old"}
    assert offered(evox, "cache invalidate --service st", 4) == {"stock-keeper"}
    assert offered(evox, "run --backend tr", 3) == {"trio"}


@pytest.mark.parametrize(
    ("shell", "part"), [("bash", "complete -o nosort"), ("zsh", "#compdef evox"), ("fish", "--command evox")]
)
def test_each_shell_has_its_script(evox: Evox, shell: str, part: str) -> None:
    done = evox("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert part in done.stdout
    assert evox("completion", "tcsh").returncode == 2


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
def test_bash_completes_with_it(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    words = "COMP_WORDS=(evox run --only s); COMP_CWORD=3"
    script = f'eval "$(evox completion bash)"; {words}; _evox_completion evox; echo "${{COMPREPLY[@]}}"'
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        [str(BASH), "--norc", "-c", script],
        cwd=tmp_path,
        env=environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("shop stock-keeper\n", "")
