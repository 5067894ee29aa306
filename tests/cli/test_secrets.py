"""No secret of a configuration is shown, wherever it stands and whatever is wrong with it or about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.forked import ended
from tests.support import Run, write_files

from evox.config import load
from evox.errors import EvoxError
from evox.failures import describe, facts_of

SECRET = "hunter2"
SVC = 'from evox import service\n\nsvc = service("shop").port(0)\n'
URLS = [
    f"mongo://me:{SECRET}@h/x",
    f"mongo://{SECRET}@h/x",
    f"postgresql+asyncpg://me:{SECRET}@h/x",
    f"postgresql://me:a@{SECRET}@h/x",
    f"postgresql://me:{SECRET} x@h:port/x",
    f"postgresql://me:{SECRET}%zz@h/x",
    f"valkey://{SECRET}@h:port/0",
    f"mysql:me:{SECRET}@h",
    f"mongo://h/x?password={SECRET}",
    f"mongo://h/x?pasword={SECRET}",
    f"valkey://:{SECRET}",
]
# What stands there is wrong in each of these: the line, or the variable, is what the error is about.
PLACES = [
    "data.backend",
    "data.database",
    "data.services.shop",
    "data.intents.session.backend",
    "data.intents.session.ttl",
    "data.backnd",
    "data.timeout",
    "backend",
    "serving.drain_delay",
    "serving.forwarded_from",
    "priority.total",
    "runtime.window",
    "config.billing",
]


@dataclass(frozen=True)
class Way:
    """One way to write an option down."""

    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


def ways(option: str, value: str) -> list[Way]:
    table, _, name = option.rpartition(".")
    text = f'{name} = "{value}"\n'
    in_pyproject = f"[tool.evox{'.' if table else ''}{table}]\n{text}"
    return [
        Way("pyproject", {"pyproject.toml": in_pyproject}),
        Way("evox.toml", {"evox.toml": (f"[{table}]\n" if table else "") + text}),
        Way("dotted", {"evox.toml": f'{option} = "{value}"\n'}),
        Way("broken", {"evox.toml": f'{option} = "{value}\n'}),
        Way("environment", env={f"EVOX_{option.replace('.', '__').upper()}": value}),
    ]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("option", PLACES)
def test_no_secret_is_in_what_is_said_of_a_wrong_option(option: str, url: str, tmp_path: Path) -> None:
    for way in ways(option, url):
        folder = tmp_path / way.name
        write_files(folder, way.files)
        folder.mkdir(exist_ok=True)
        with pytest.raises(EvoxError) as caught:
            load(folder, environ=way.env)
        error = caught.value
        shown = [describe(error, trace=True), json.dumps(facts_of(error)), str(error), repr(error)]
        assert [text for text in shown if SECRET in text] == [], way


STARTS = [
    Way("a file", {"pyproject.toml": f'[tool.evox.data]\nbackend = "{URLS[0]}"\n'}),
    Way("a table in one line", {"evox.toml": f'data = {{ services = {{ shop = "{URLS[3]}" }}, timeout = 1 }}\n'}),
    Way(
        "a table of the user's",
        {"evox.toml": f'[config.billing]\npassword = "{SECRET}"\n[config]\napi_token = "{SECRET}"\n'},
    ),
    Way("the environment", env={"EVOX_DATA__BACKEND": URLS[4]}),
    Way("a table in the environment", env={"EVOX_DATA": json.dumps({"services": {"shop": URLS[1]}})}),
    Way("the targets", {"evox.toml": f'services = ["{URLS[0]}"]\n'}),
    Way("the address", {"evox.toml": f'host = "http://me:{SECRET}@h"\n'}),
    Way("the certificate", {"evox.toml": f'[serving]\ncertfile = "https://me:{SECRET}@h/c.pem"\n'}),
    Way("a backend that is not there", env={"EVOX_DATA__BACKEND": f"valkey://me:{SECRET}@127.0.0.1:1/0"}),
    Way("another that is not there", env={"EVOX_DATA__BACKEND": f"postgresql://me:{SECRET}@127.0.0.1:1/0"}),
    Way("a name of a service", {"evox.toml": f'[data.services]\nshpo = "valkey://me:{SECRET}@h/0"\n'}),
    Way(
        "a line of code",
        {
            "shop.py": SVC
            + f'\n\n@svc.on_startup\ndef up() -> None:\n    raise ValueError("postgresql://me:{SECRET}@h")\n'
        },
    ),
    Way("an option of code", {"shop.py": SVC + f'svc.depends_on("postgresql://me:{SECRET}@h/x")\n'}),
]


@pytest.mark.parametrize("way", STARTS, ids=lambda way: way.name)
@pytest.mark.parametrize("arguments", [(), ("--json", "--trace")], ids=["text", "json"])
def test_no_secret_is_in_what_a_start_that_fails_writes(tmp_path: Path, way: Way, arguments: tuple[str, ...]) -> None:
    write_files(tmp_path, {"shop.py": SVC, **way.files})
    done = ended("run", *arguments, cwd=tmp_path, env=way.env)
    assert done.returncode != 0
    assert done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_no_secret_is_in_what_a_service_logs(evox_run: Run) -> None:
    code = (
        "import logging\n"
        + SVC
        + f'URL = "postgresql://me:{SECRET}@h/x"\n\n\n@svc.get("/")\nasync def root() -> str:\n'
        + '    logging.getLogger("mine").warning("no answer of %s", URL, extra={"url": URL})\n'
        + f'    raise RuntimeError("postgresql://me:{SECRET}@h/x")\n'
    )
    env = {"EVOX_DATA__SERVICES__SHOP": "sqlite:///x.db", "EVOX_CONFIG__BILLING__URL": URLS[0], "EVOX_LOG": "debug"}
    process = evox_run({"shop.py": code}, "--json", env=env)
    assert process.get("/").status_code == 500
    assert process.end() == 0
    entries = [json.loads(line) for line in process.err.splitlines()]
    (failed,) = [one for one in entries if "error" in one]
    assert failed["error"]["type"] == "RuntimeError"
    assert "postgresql://***@h/x" in failed["error"]["what"]
    assert SECRET not in process.out + process.err
