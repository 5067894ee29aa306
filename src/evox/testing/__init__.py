"""What users import in their tests."""

from evox.testing.clients import AppTransport, WebSocketClosed, WebSocketSession
from evox.testing.clocks import run_virtual, virtual_trio
from evox.testing.harness import Env, running

__all__ = [
    "AppTransport",
    "Env",
    "WebSocketClosed",
    "WebSocketSession",
    "run_virtual",
    "running",
    "virtual_trio",
]
