"""Many services -> one process."""

from evox.orchestrator.console import Console
from evox.orchestrator.discovery import Found, discover
from evox.orchestrator.fleet import DrainReport, Fleet
from evox.orchestrator.gateway import Gateway
from evox.orchestrator.handover import Handover
from evox.orchestrator.host import Host
from evox.orchestrator.logs import start_logs
from evox.orchestrator.server import Plan, RunOptions, configuration, plan, serve
from evox.orchestrator.validation import assign_ports, start_order, validate

__all__ = [
    "Console",
    "DrainReport",
    "Fleet",
    "Found",
    "Gateway",
    "Handover",
    "Host",
    "Plan",
    "RunOptions",
    "assign_ports",
    "configuration",
    "discover",
    "plan",
    "serve",
    "start_logs",
    "start_order",
    "validate",
]
