"""What pages show of other tools parses, names what Evox has, and gives a process the time that its end may take."""

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, Final

import anyio
import asyncclick as click
import pytest
import yaml  # type: ignore[import-untyped]
from tests.docs.pages import PAGES, ROOT, Block, blocks

from evox.cli.entry import group
from evox.config import Settings, unknown_variables
from evox.durations import seconds
from evox.orchestrator.workers import MARGIN

GUIDE: Final = ROOT / "docs" / "guides" / "deploying.md"
PROBES: Final = {"startupProbe": "startup", "readinessProbe": "ready", "livenessProbe": "live"}
INSTRUCTIONS: Final = frozenset(
    {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "CMD"}
)
UNIT: Final = {
    "Unit": {"Description", "Wants", "After"},
    "Service": {
        *("Type", "User", "WorkingDirectory", "ExecStart", "EnvironmentFile", "RuntimeDirectory", "Environment"),
        *("KillMode", "TimeoutStopSec", "Restart", "RestartSec", "RestartPreventExitStatus", "LimitNOFILE"),
        *("NoNewPrivileges", "ProtectSystem", "ReadWritePaths"),
    },
    "Install": {"WantedBy"},
}


def longest_end() -> float:
    """Return the seconds after which a process that was told to end is gone, whatever hangs, with workers."""
    settings = Settings()
    return settings.serving.drain_timeout + 2 * settings.runtime.shutdown_timeout + MARGIN


def accept(line: list[str]) -> None:
    """Parse a command line of ours as the command does, without running it."""

    async def parse() -> None:
        context = click.Context(group, info_name="evox")
        name, found, rest = await group.resolve_command(context, line[1:])
        assert found is not None
        await found.make_context(name, rest, parent=context)

    assert line[0].rpartition("/")[2] == "evox"
    anyio.run(parse)


def documents(page_blocks: list[Block]) -> Iterator[Any]:
    for block in page_blocks:
        yield from yaml.safe_load_all(block.text)


def within(value: Any, key: str) -> Iterator[Any]:
    """Yield everything under a key, however deep."""
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        if name == key:
            yield inner
        yield from within(inner, key)


@pytest.mark.parametrize(
    "block", [one for page in PAGES for one in blocks(page, "yaml", "yml")], ids=lambda one: one.where
)
def test_every_yaml_block_parses_and_its_probes_are_ours(block: Block) -> None:
    found = list(documents([block]))
    assert all(isinstance(one, dict) and one for one in found)
    for probe, name in PROBES.items():
        for one in within(found, probe):
            assert one["httpGet"]["path"] == f"/health/{name}"


def test_the_deployment_has_all_probes_and_time_for_its_end() -> None:
    deployment, service = documents([one for one in blocks(GUIDE, "yaml") if "apiVersion" in one.text])
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    accept(container["args"])
    (port,) = container["ports"]
    assert str(port["containerPort"]) in container["args"]
    assert all(container[probe]["httpGet"]["port"] == port["name"] for probe in PROBES)
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert list(unknown_variables(dict.fromkeys(environment, ""))) == []
    assert seconds(environment["EVOX_SERVING__DRAIN_DELAY"]) < Settings().serving.drain_timeout
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > Settings().runtime.start_timeout
    assert pod["spec"]["terminationGracePeriodSeconds"] > longest_end()


def test_the_unit_has_known_keys_and_time_for_its_end() -> None:
    (block,) = blocks(GUIDE, "ini")
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(block.text)
    assert set(parser.sections()) == set(UNIT)
    assert [key for section in UNIT for key in parser[section] if key not in UNIT[section]] == []
    service = parser["Service"]
    accept(shlex.split(service["ExecStart"]))
    assert float(service["TimeoutStopSec"]) > longest_end()
    assert int(service["LimitNOFILE"]) > Settings().serving.connections
    assert service["RestartPreventExitStatus"].split() == ["2", "78"]


@pytest.mark.parametrize("block", blocks(GUIDE, "dockerfile"), ids=lambda one: one.where)
def test_a_dockerfile_has_known_instructions_and_starts_evox_without_a_shell(block: Block) -> None:
    lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
    instructions = [line.partition(" ")[::2] for line in lines if line and not line.startswith("#")]
    assert instructions[0][0] == "FROM"
    assert {name for name, _ in instructions} <= INSTRUCTIONS
    given = dict(instructions)
    accept(json.loads(given["CMD"]))
    assert given["STOPSIGNAL"] == "SIGTERM"
    assert "USER" in given


def test_the_containers_have_time_for_their_end() -> None:
    (compose,) = documents([one for one in blocks(GUIDE, "yaml") if one.text.startswith("services:")])
    for service in compose["services"].values():
        assert seconds(service["stop_grace_period"]) > longest_end()
        assert list(unknown_variables(dict.fromkeys(service["environment"], ""))) == []


def test_the_guide_says_how_long_an_end_may_take() -> None:
    shared = longest_end() - MARGIN
    assert f"{shared + 1:g} s; with workers {longest_end():g} s" in GUIDE.read_text(encoding="utf-8")
