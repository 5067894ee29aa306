"""What users import in their tests."""

from evox.testing.acting import acting_as
from evox.testing.authorization import AuthorizationMatrix, authorization_matrix
from evox.testing.clients import AppTransport, WebSocketClosed, WebSocketSession
from evox.testing.clocks import run_virtual, virtual_trio
from evox.testing.fakes import Fake
from evox.testing.faults import Faults
from evox.testing.harness import Env, running
from evox.testing.links import FaultyLink, LinkStatistics, tcp_faults
from evox.testing.processes import ServiceProcess, service_process
from evox.testing.topologies import TOPOLOGIES, Topology, spread

__all__ = [
    "TOPOLOGIES",
    "AppTransport",
    "AuthorizationMatrix",
    "Env",
    "Fake",
    "Faults",
    "FaultyLink",
    "LinkStatistics",
    "ServiceProcess",
    "Topology",
    "WebSocketClosed",
    "WebSocketSession",
    "acting_as",
    "authorization_matrix",
    "run_virtual",
    "running",
    "service_process",
    "spread",
    "tcp_faults",
    "virtual_trio",
]
