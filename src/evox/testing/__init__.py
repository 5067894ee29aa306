"""What users import in their tests."""

from evox.testing.acting import acting_as
from evox.testing.authorization import AuthorizationMatrix, authorization_matrix
from evox.testing.clients import AppTransport, WebSocketClosed, WebSocketSession
from evox.testing.clocks import run_virtual, virtual_trio
from evox.testing.harness import Env, running

__all__ = [
    "AppTransport",
    "AuthorizationMatrix",
    "Env",
    "WebSocketClosed",
    "WebSocketSession",
    "acting_as",
    "authorization_matrix",
    "run_virtual",
    "running",
    "virtual_trio",
]
