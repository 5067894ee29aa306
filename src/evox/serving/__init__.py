"""Sockets <-> ASGI."""

from evox.serving.hypercorn_adapter import HypercornProtocol
from evox.serving.inflight import Inflight, InflightStatistics
from evox.serving.lifespan import Lifespan
from evox.serving.listener import Listener, bind
from evox.serving.opened import Kind
from evox.serving.protocol import ConnectionProtocol

__all__ = [
    "ConnectionProtocol",
    "HypercornProtocol",
    "Inflight",
    "InflightStatistics",
    "Kind",
    "Lifespan",
    "Listener",
    "bind",
]
