"""Configuration: files, environment and command line in this order of strength; what is wrong names its line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evox.config import Loaded, find_root, load, section
from evox.errors import ConfigurationError, InvalidOption, UnknownOption, UnreadableConfiguration

Write = Callable[..., Loaded]


@pytest.fixture
def project(tmp_path: Path) -> Write:
    """Write the two files of a project and load them with an environment of their own."""

    def write(*, pyproject: str = "", toml: str = "", env: dict[str, str] | None = None, **given: Any) -> Loaded:
        for name, text in (("pyproject.toml", pyproject), ("evox.toml", toml)):
            if text:
                (tmp_path / name).write_text(text, encoding="utf-8")
        return load(tmp_path, environ=env or {}, **given)

    return write


def refused(kind: type[ConfigurationError], action: Callable[[], object]) -> ConfigurationError:
    with pytest.raises(kind) as caught:
        action()
    return caught.value


def test_nothing_needs_a_file(project: Write) -> None:
    loaded = project()
    settings = loaded.settings
    assert (settings.backend, settings.host, settings.port, settings.services) == ("auto", "127.0.0.1", 8000, ())
    assert (settings.runtime.start_timeout, settings.runtime.shutdown_timeout) == (30.0, 10.0)
    assert loaded.sources == {}


LAYERS: dict[str, dict[str, Any]] = {
    "[tool.evox] in pyproject.toml": {"pyproject": "[tool.evox]\nport = 1001\n"},
    "evox.toml": {"toml": "port = 1002\n"},
    "the environment (EVOX_PORT)": {"env": {"EVOX_PORT": "1003"}},
    "the command line": {"port": 1004},
}


@pytest.mark.parametrize("last", range(4))
def test_each_layer_wins_over_those_before_it(project: Write, last: int) -> None:
    names = list(LAYERS)[: last + 1]
    loaded = project(**{key: value for name in names for key, value in LAYERS[name].items()})
    assert (loaded.settings.port, loaded.sources) == (1001 + last, {"port": names[-1]})


def test_what_the_command_line_leaves_out_does_not_win(project: Write) -> None:
    assert project(toml="port = 1002\n", port=None).settings.port == 1002


def test_layers_are_merged_option_by_option_and_each_keeps_its_source(project: Write) -> None:
    loaded = project(
        pyproject='[tool.evox]\nbackend = "trio"\n[tool.evox.serving]\nbacklog = 5\nkeep_alive = 1\n',
        toml='[serving]\nkeep_alive = "2s"\n',
        env={"EVOX_SERVING__DRAIN_DELAY": "250ms"},
    )
    serving = loaded.settings.serving
    assert (serving.backlog, serving.keep_alive, serving.drain_delay) == (5, 2.0, 0.25)
    assert loaded.sources == {
        "backend": "[tool.evox] in pyproject.toml",
        "serving.backlog": "[tool.evox] in pyproject.toml",
        "serving.keep_alive": "evox.toml",
        "serving.drain_delay": "the environment (EVOX_SERVING__DRAIN_DELAY)",
    }


def test_a_table_can_come_from_the_environment_as_json(project: Write) -> None:
    assert project(env={"EVOX_RUNTIME": '{"max_restarts": 9}'}).settings.runtime.max_restarts == 9


@pytest.mark.parametrize("text", ["app.py,other", " app.py , other ,"])
def test_services_can_come_from_the_environment_with_commas(project: Write, text: str) -> None:
    assert project(env={"EVOX_SERVICES": text}).settings.services == ("app.py", "other")


@pytest.mark.parametrize("value", ['"90s"', "90", "90.0", '"1m30s"'])
def test_durations_are_written_in_any_form(project: Write, value: str) -> None:
    assert project(toml=f"[runtime]\nwindow = {value}\n").settings.runtime.window == 90.0


def test_variables_that_mean_nothing_are_named_and_stop_nothing(project: Write) -> None:
    loaded = project(env={"EVOX_PROT": "1", "EVOX_LOG": "debug", "EVOX_PORT": "1", "HOME": "/"})
    assert [name.split()[0] for name in loaded.unknown_environment] == ["EVOX_PROT"]


UNKNOWN = [
    ("pyproject.toml", "[project]\nname = 'x'\n[tool.evox]\nprot = 1\n", "prot", 4, "'port'"),
    ("pyproject.toml", "[tool.evox.serving]\nbacklog = 1\ndrain_dely = 1\n", "serving.drain_dely", 3, "'drain_delay'"),
    ("pyproject.toml", "[tool.evox.runtim]\nwindow = 1\n", "runtim", 1, "'runtime'"),
    ("evox.toml", "# prot\n\nprot = 1\n", "prot", 3, "'port'"),
    ("evox.toml", "[runtime]\n  max_restart = 1\n", "runtime.max_restart", 2, "'max_restarts'"),
    ("evox.toml", "runtime.max_restart = 1\n", "runtime.max_restart", 1, "'max_restarts'"),
    ("evox.toml", "port = 1\nruntime = { max_restart = 1 }\n", "runtime.max_restart", 2, "'max_restarts'"),
    ("evox.toml", '"prot" = 1\n', "prot", 1, "'port'"),
    ("evox.toml", "[data.intents.x]\ntt = 1\n", "data.intents.x.tt", 2, "'ttl'"),
]


@pytest.mark.parametrize(("file", "text", "option", "line", "meant"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_an_unknown_option_is_refused_with_its_line_and_what_was_meant(
    project: Write, tmp_path: Path, file: str, text: str, option: str, line: int, meant: str
) -> None:
    error = refused(UnknownOption, lambda: project(**{"pyproject" if file[0] == "p" else "toml": text}))
    assert error.what == f"unknown option {option!r}"
    assert (str(error.place), error.fix) == (f"{tmp_path / file}:{line}", f"write {meant} instead")
    assert (error.exit_code, file in error.why) == (78, True)


SAME_NAME_ABOVE = [
    ("[project]\nname = 'x'\n[tool.evox]\nname = 'y'\n", 4),
    ("[tool.evox]\nport = 1\n[tool.evox.serving]\nport = 1\n", 4),
    ("[tool.other]\nzzz = 1\n\n[tool.evox]\nzzz = 1\n", 5),
]


@pytest.mark.parametrize(("text", "line"), SAME_NAME_ABOVE, ids=["project", "outer", "foreign"])
def test_the_line_is_that_of_our_table_when_another_table_has_the_same_name(
    project: Write, text: str, line: int
) -> None:
    error = refused(UnknownOption, lambda: project(pyproject=text))
    assert error.place is not None
    assert error.place.line == line


def test_an_unknown_option_like_nothing_known_lists_what_there_is(project: Write) -> None:
    error = refused(UnknownOption, lambda: project(toml="[serving]\nzzz = 1\n"))
    assert "one of: backlog, body_bytes, body_rate" in error.fix


def test_an_unknown_nested_variable_is_refused_and_the_environment_named(project: Write) -> None:
    error = refused(UnknownOption, lambda: project(env={"EVOX_SERVING__DRAIN_DELY": "1s"}))
    assert (error.what, error.place) == ("unknown option 'serving.drain_dely'", None)
    assert "the environment (EVOX_SERVING__DRAIN_DELY)" in error.why


WRONG = [
    ("port = 70000\n", "port", 1),
    ("port = -1\n", "port", 1),
    ('port = "many"\n', "port", 1),
    ('backend = "curio"\n', "backend", 1),
    ('host = ""\n', "host", 1),
    ("[data.intents.x]\nttl = 0\n", "data.intents.x.ttl", 2),
    ("[data.intents.x]\nttl = 1\neager = 2\n", "data.intents.x.eager", 3),
    ("[data.intents.x]\ncacheable = false\nttl = 1\n", "data.intents.x", 1),
    ('[data.intents.x]\nconsistency = "strong"\nfallback = "aggressive"\n', "data.intents.x", 1),
    ("services = [1]\n", "services", 1),
    ("\nserving = 3\n", "serving", 2),
    ('[serving]\ndrain_delay = "soon"\n', "serving.drain_delay", 2),
    ("[serving]\nkeep_alive = -1\n", "serving.keep_alive", 2),
    ("[serving]\nbacklog = 0\n", "serving.backlog", 2),
    ("[serving]\nbacklog = 65536\n", "serving.backlog", 2),
    ("[serving]\nstreams = 32769\n", "serving.streams", 2),
    ("[runtime]\nthreads = 0\n", "runtime.threads", 2),
    ("[runtime]\nwindow = 1" + "0" * 400 + "\n", "runtime.window", 2),
    ("[config]\nuser = 3\n", "config.user", 2),
]


@pytest.mark.parametrize(("text", "option", "line"), WRONG, ids=[f"{row[1]}-{n}" for n, row in enumerate(WRONG)])
def test_a_value_that_does_not_fit_is_refused_with_its_line(
    project: Write, tmp_path: Path, text: str, option: str, line: int
) -> None:
    error = refused(InvalidOption, lambda: project(toml=text))
    assert error.what.startswith(f"option '{option}")
    assert str(error.place) == f"{tmp_path / 'evox.toml'}:{line}"
    assert error.why
    assert error.fix.endswith("in evox.toml")


@pytest.mark.parametrize("env", [{"EVOX_PORT": "many"}, {"EVOX_SERVING": "{"}, {"EVOX_SERVING__BACKLOG": "-1"}])
def test_a_variable_that_does_not_fit_is_refused_and_the_environment_named(project: Write, env: dict[str, str]) -> None:
    error = refused(InvalidOption, lambda: project(env=env))
    assert "the environment" in error.fix
    assert next(iter(env)) in error.fix


@pytest.mark.parametrize("text", ["tool = 3\n", "[tool]\nevox = 3\n", "[[tool.evox]]\nport = 1\n"], ids=range(3))
def test_a_tool_table_that_is_none_is_a_configuration_error(project: Write, text: str) -> None:
    error = refused(ConfigurationError, lambda: project(pyproject=text))
    assert "pyproject.toml" in str(error)


@pytest.mark.parametrize("content", [b"port = \n", b"port = 1\nport = 2\n", b"\xff\xfe", b"[serving\n"], ids=range(4))
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "evox.toml").write_bytes(content)
    error = refused(UnreadableConfiguration, lambda: load(tmp_path, environ={}))
    assert error.what == f"cannot read {tmp_path / 'evox.toml'}"
    assert error.why


def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "evox.toml").mkdir()
    refused(UnreadableConfiguration, lambda: load(tmp_path, environ={}))


@pytest.mark.parametrize(("name", "text"), [("evox.toml", ""), ("pyproject.toml", "[tool.evox]\n")])
def test_the_root_is_the_nearest_folder_with_our_configuration(tmp_path: Path, name: str, text: str) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'other'\n", encoding="utf-8")
    (inner / "app.py").write_text("", encoding="utf-8")
    assert find_root(inner / "app.py") == find_root(inner) == tmp_path


def test_a_section_of_the_user_is_read_beside_the_service_and_the_project_wins(project: Write, tmp_path: Path) -> None:
    beside = tmp_path / "config.toml"
    beside.write_text('[user]\nlevel = 1\nname = "x"\n[user.deep]\na = 1\nb = 1\n', encoding="utf-8")
    loaded = project(toml="[config.user]\nlevel = 2\n[config.user.deep]\nb = 2\n")
    assert section(loaded, "user", beside) == {"level": 2, "name": "x", "deep": {"a": 1, "b": 2}}


def test_a_section_that_nobody_wrote_is_empty(project: Write, tmp_path: Path) -> None:
    assert section(project(), "user", tmp_path / "config.toml") == {}
