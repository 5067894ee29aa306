"""Configuration: typed settings from ``[tool.evox]`` in pyproject.toml, ``evox.toml`` and ``EVOX_*``; later wins.

Unknown names and values that do not fit are errors that name the file and the line. Nothing needs pyproject.toml at
run time. Each value's source is kept, so that what is shown of a configuration says where it comes from.
"""

from evox.config.auth import AuthSettings
from evox.config.control import ControlSettings
from evox.config.data import DataSettings, IntentSettings
from evox.config.layers import Origin
from evox.config.loading import Loaded, find_root, is_root, load, section, settings_of, unknown_variables
from evox.config.observe import ObserveSettings
from evox.config.priority import PerLevel, PrioritySettings
from evox.config.proxy import PeerSettings, ProxySettings, in_code, is_loopback_url
from evox.config.tables import RuntimeSettings, ServingSettings, Settings
from evox.config.urls import hidden, is_loopback, remember_url, scheme_of, without_secrets

__all__ = [
    "AuthSettings",
    "ControlSettings",
    "DataSettings",
    "IntentSettings",
    "Loaded",
    "ObserveSettings",
    "Origin",
    "PeerSettings",
    "PerLevel",
    "PrioritySettings",
    "ProxySettings",
    "RuntimeSettings",
    "ServingSettings",
    "Settings",
    "find_root",
    "hidden",
    "in_code",
    "is_loopback",
    "is_loopback_url",
    "is_root",
    "load",
    "remember_url",
    "scheme_of",
    "section",
    "settings_of",
    "unknown_variables",
    "without_secrets",
]
