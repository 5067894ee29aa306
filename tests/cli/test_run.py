"""What ``evox run`` chooses, binds and says: targets, options, the banner, one process at a time."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.support import EvoxProcess, HttpSocket, Run, command, environment, free_port, write_files

ONE = """
from evox import service

svc = service("{name}").port(0)


@svc.get("/")
async def root() -> str:
    return "{name}"
"""
FIXED = """
from evox import service

svc = service("{name}").port({port})


@svc.get("/")
async def root() -> str:
    return "{name}"
"""


def one(name: str) -> str:
    return ONE.format(name=name)


def names(process: EvoxProcess) -> list[str]:
    return [found["name"] for found in process.event("started")["services"]]


def test_without_targets_every_service_of_the_folder_runs(evox_run: Run) -> None:
    files = {"a.py": one("a"), "below/b.py": one("b"), "package/__init__.py": "", "package/c.py": one("c")}
    assert sorted(names(evox_run(files, "--json"))) == ["a", "b", "c"]


def test_a_folder_can_be_named(evox_run: Run) -> None:
    assert names(evox_run({"a.py": one("a"), "below/b.py": one("b")}, "below", "--json")) == ["b"]


def test_a_file_can_be_named(evox_run: Run) -> None:
    assert names(evox_run({"a.py": one("a"), "below/b.py": one("b")}, "below/b.py", "--json")) == ["b"]


def test_a_module_can_be_named(evox_run: Run) -> None:
    files = {"a.py": one("a"), "shop/__init__.py": "", "shop/main.py": one("shop")}
    assert names(evox_run(files, "shop.main", "--json")) == ["shop"]


def test_an_attribute_of_a_module_can_be_named(evox_run: Run) -> None:
    both = one("first") + 'other = service("other").port(0)\n'
    assert names(evox_run({"main.py": both}, "main:other", "--json")) == ["other"]


def test_an_attribute_of_a_file_can_be_named(evox_run: Run) -> None:
    both = one("first") + 'other = service("other").port(0)\n'
    assert names(evox_run({"main.py": both}, "main.py:other", "--json")) == ["other"]


def test_several_targets_can_be_named(evox_run: Run) -> None:
    files = {"a.py": one("a"), "b.py": one("b"), "c.py": one("c")}
    assert sorted(names(evox_run(files, "a.py", "c", "--json"))) == ["a", "c"]


def test_services_listed_in_the_configuration_run_and_no_others(evox_run: Run) -> None:
    files = {
        "pyproject.toml": '[tool.evox]\nservices = ["b.py", "shop.main"]\n',
        "a.py": one("a"),
        "b.py": one("b"),
        "shop/__init__.py": "",
        "shop/main.py": one("shop"),
    }
    process = evox_run(files, "--json")
    assert sorted(names(process)) == ["b", "shop"]
    assert {found["why"] for found in process.event("started")["services"]} == {"listed in [tool.evox] services"}


def test_a_target_on_the_command_line_wins_over_the_configuration(evox_run: Run) -> None:
    files = {"evox.toml": 'services = ["b.py"]\n', "a.py": one("a"), "b.py": one("b")}
    assert names(evox_run(files, "a.py", "--json")) == ["a"]


def test_only_runs_what_it_names(evox_run: Run) -> None:
    process = evox_run({name + ".py": one(name) for name in "abc"}, "--only", "a", "--only", "c", "--json")
    assert sorted(names(process)) == ["a", "c"]


def test_only_without_what_the_service_depends_on_runs_it_alone(evox_run: Run) -> None:
    dependent = one("b") + 'svc.depends_on("a")\n'
    assert names(evox_run({"a.py": one("a"), "b.py": dependent}, "--only", "b", "--json")) == ["b"]


def test_host_binds_the_address_that_was_named(evox_run: Run) -> None:
    process = evox_run({"a.py": one("a")}, "--host", "127.0.0.2", "--json")
    host, port = process.address()
    assert host == "127.0.0.2"
    with HttpSocket((host, port)) as connection:
        assert connection.get("/").body == b'"a"'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_host_takes_an_ipv6_address_and_the_banner_shows_a_url_that_works(evox_run: Run) -> None:
    process = evox_run({"a.py": one("a")}, "--host", "::1", "--json")
    assert process.url().startswith("http://[::1]:")
    assert process.get("/").status_code == 200


def test_V1_port_0_takes_a_free_one_and_the_banner_tells_it(evox_run: Run) -> None:
    process = evox_run({"a.py": FIXED.format(name="a", port=8001)}, "--port", "0", "--json")
    assert process.address()[1] not in (0, 8001)
    assert process.get("/").json() == "a"


def test_port_is_the_port_of_the_one_service(evox_run: Run) -> None:
    port = free_port()
    process = evox_run({"a.py": FIXED.format(name="a", port=8001)}, "--port", str(port), "--json")
    assert process.address() == ("127.0.0.1", port)


def test_services_without_ports_get_those_from_the_first_on(evox_run: Run) -> None:
    port = free_port(2)
    files = {f"{name}.py": one(name).replace(".port(0)", "") for name in "ab"}
    process = evox_run(files, "--port", str(port), "--json")
    assert [process.address(name)[1] for name in "ab"] == [port, port + 1]


def test_V1_the_banner_comes_after_start_up_and_the_port_is_bound_before_it(evox_run: Run) -> None:
    slow = """
    import sys

    import anyio

    from evox import service

    svc = service("slow").port({port})


    @svc.on_startup
    async def wait_for_the_file() -> None:
        sys.stderr.write("waits\\n")
        sys.stderr.flush()
        while not await anyio.Path("go").exists():
            await anyio.sleep(0.01)


    @svc.get("/")
    async def root() -> str:
        return "up"
    """
    port = free_port()
    process = evox_run({"slow.py": slow.format(port=port)}, "--json")
    process.wait_error("waits")
    with HttpSocket(("127.0.0.1", port)) as early:
        early.send("/")
        early.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            early.socket.recv(1)
        assert process.out == ""
        (process.folder / "go").touch()
        process.event("started")
        early.socket.settimeout(5)
        assert early.answer().body == b'"up"'


def test_the_banner_tells_loop_addresses_docs_and_reasons(evox_run: Run) -> None:
    process = evox_run({"a.py": one("a")}, "--backend", "trio")
    assert process.wait_line("Ctrl-C")
    banner = process.out
    assert "on trio" in banner
    row = process.wait_line("http://127.0.0.1:")
    assert "found in the project" in row
    assert "functions" in row
    url = next(word for word in row.split() if word.startswith("http") and not word.endswith("docs"))
    assert f"{url}/docs" in row
    host, _, port = url.removeprefix("http://").partition(":")
    with HttpSocket((host, int(port))) as connection:
        assert connection.get("/").status == 200


def test_C1_nothing_is_coloured_when_nobody_watches(evox_run: Run) -> None:
    process = evox_run({"a.py": one("a")})
    process.wait_line("Ctrl-C")
    assert process.end() == 0
    assert "\033" not in process.out + process.err
    assert process.out.splitlines()[-2:] == ["SIGTERM: draining", "stopped"]


def test_C1_with_json_standard_output_is_one_event_a_line(evox_run: Run) -> None:
    process = evox_run({"a.py": one("a")}, "--json")
    started = process.event("started")
    assert process.end() == 0
    assert [json.loads(line)["event"] for line in process.out.splitlines()] == ["started", "draining", "stopped"]
    assert {"version", "loop", "pid", "services", "notes"} <= set(started)
    assert started["pid"] == process.process.pid
    assert {"name", "url", "docs", "syntax", "endpoints", "seats", "why"} == set(started["services"][0])


def test_a_reader_of_the_banner_that_leaves_does_not_end_the_service(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": one("a")})
    settings = environment({"EVOX_SERVING__DRAIN_DELAY": "0s"})
    process = subprocess.Popen(command("run", "--json"), cwd=tmp_path, env=settings, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b'"started"' in process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)


def test_what_the_environment_says_that_means_nothing_is_noted(evox_run: Run) -> None:
    process = evox_run({"a.py": one("a")}, "--json", env={"EVOX_PROT": "1"})
    assert any("EVOX_PROT" in note for note in process.event("started")["notes"])


@pytest.mark.parametrize("value", ["0", "0.1", "0.1s", "100ms"])
def test_a_duration_in_the_environment_is_in_seconds_where_it_has_no_unit(evox_run: Run, value: str) -> None:
    process = evox_run({"a.py": one("a")}, "--json", env={"EVOX_SERVING__DRAIN_DELAY": value})
    process.event("started")
    assert process.end() == 0


def test_later_sources_win_over_earlier_ones(evox_run: Run) -> None:
    files = {
        "pyproject.toml": '[tool.evox]\nhost = "127.0.0.2"\nbackend = "trio"\n',
        "evox.toml": 'host = "127.0.0.3"\n',
        "a.py": one("a"),
    }
    process = evox_run(files, "--json", env={"EVOX_HOST": "127.0.0.4"})
    assert process.address()[0] == "127.0.0.4"
    assert process.event("started")["loop"].startswith("trio")


def test_two_files_of_one_name_in_two_folders_are_two_services(evox_run: Run) -> None:
    process = evox_run({"a/main.py": one("a"), "b/main.py": one("b")}, "--json")
    assert sorted(names(process)) == ["a", "b"]
    assert process.get("/", "b").json() == "b"


def test_what_was_imported_is_kept_out_of_garbage_collection(evox_run: Run) -> None:
    """Looking through it again and again would stop every request for tens of milliseconds."""
    counting = one("a").replace('return "a"', "import gc; return str(gc.get_freeze_count())")
    process = evox_run({"a.py": counting}, "--json")
    assert int(process.get("/").json()) > 10_000


def test_the_banner_shows_the_seats_of_each_level(evox_run: Run) -> None:
    own = "svc.concurrency(total=10, low=3)"
    files = {"a.py": one("a"), "b.py": one("b") + own, "evox.toml": "[priority]\ntotal = 50\nmedium = 50\n"}
    started = evox_run(files, "--json").event("started")
    assert {found["name"]: found["seats"] for found in started["services"]} == {"a": "50/50/25", "b": "10/8/3"}
