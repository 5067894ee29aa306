"""The configuration as it is shown: every option, where it came from, and no secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from evox.config import Settings, load
from evox.observe.configuration import HIDDEN, configuration

SECRETS = ("hunter2", "s3cr3t-api-key", "q7Fh2LkPz0Xw9Tn4Vb6Yc8Ra1Sd3Ge5J")


def shown(root: Path, environ: dict[str, str]) -> dict[str, Any]:
    return {one["name"]: one for one in configuration(load(root, environ=environ))}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "evox.toml").write_text(
        f"""
        port = 9000
        [data]
        backend = "postgresql://shop:hunter2@db/shop"
        services = {{ users = "valkey://:hunter2@cache:6379/0" }}
        [data.intents.profile]
        ttl = "1h"
        backend = "postgresql://shop:hunter2@db/profiles"
        [auth]
        keys = ["keys.json", "{SECRETS[2]}"]
        [proxy]
        registry = "valkey://app:hunter2@cache:6379/1"
        [config.payment]
        api_key = "s3cr3t-api-key"
        note = "s3cr3t-api-key"
        [config.payment.nested]
        dsn = "https://user:hunter2@pay.example"
        """
    )
    (tmp_path / "keys.json").write_text("{}")
    return tmp_path


def test_O1_every_option_is_there_with_its_source(project: Path) -> None:
    found = shown(project, {"EVOX_HOST": "0.0.0.0"})
    assert (found["port"]["value"], found["port"]["source"]) == (9000, "evox.toml")
    assert (found["host"]["value"], found["host"]["source"]) == ("0.0.0.0", "the environment (EVOX_HOST)")
    assert found["serving.keep_alive"]["source"] == "the default"
    assert {name.split(".")[0] for name in found} == set(Settings.model_fields)
    assert found["data.intents.profile.ttl"]["value"] == 3600


def test_O1_no_secret_is_in_it(project: Path) -> None:
    found = shown(project, {"EVOX_CONFIG__MAIL__PASSWORD": "hunter2", "EVOX_OBSERVE__TOKENS": f"env:X,{SECRETS[2]}"})
    text = json.dumps(found)
    assert [one for one in SECRETS if one in text] == []
    assert found["data.backend"]["value"] == "postgresql://shop:***@db/shop"
    assert found["config.payment.api_key"]["value"] == HIDDEN
    assert found["config.payment.note"]["value"] == HIDDEN
    assert found["config.mail.password"]["value"] == HIDDEN
    assert found["auth.keys"]["value"] == ["keys.json", HIDDEN]
    assert found["observe.tokens"]["value"] == ["env:X", HIDDEN]
