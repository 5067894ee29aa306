"""Data: what is declared about it, and where it lives accordingly."""

from evox.data.backends.base import Lease
from evox.data.backends.memory import MemoryBackend
from evox.data.backends.opening import make_database
from evox.data.database import Database
from evox.data.declaring import DataIntent, NamedIntent, data_intent, declared_types, defined_intents
from evox.data.entries import Entry
from evox.data.facade import DataIOFacade, data_io
from evox.data.intents import Consistency, Intent, intent_of
from evox.data.io import DataIO, DataStatistics
from evox.data.policy import Policy, check_backend, policy_of
from evox.data.readthrough import Loaded, Outcome
from evox.data.signals import DataEvent
from evox.data.store import Store

__all__ = [
    "Consistency",
    "DataEvent",
    "DataIO",
    "DataIOFacade",
    "DataIntent",
    "DataStatistics",
    "Database",
    "Entry",
    "Intent",
    "Lease",
    "Loaded",
    "MemoryBackend",
    "NamedIntent",
    "Outcome",
    "Policy",
    "Store",
    "check_backend",
    "data_intent",
    "data_io",
    "declared_types",
    "defined_intents",
    "intent_of",
    "make_database",
    "policy_of",
]
