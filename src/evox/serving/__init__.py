"""Sockets <-> ASGI."""

from evox.serving.client import Client
from evox.serving.complaints import Complaints, Reason
from evox.serving.connections import Connections
from evox.serving.inflight import Inflight, InflightStatistics
from evox.serving.lifespan import Lifespan
from evox.serving.listener import Listener, bind
from evox.serving.opened import Kind
from evox.serving.port import Port
from evox.serving.protocol import ServingStatistics
from evox.serving.tls import tls_of

__all__ = [
    "Client",
    "Complaints",
    "Connections",
    "Inflight",
    "InflightStatistics",
    "Kind",
    "Lifespan",
    "Listener",
    "Port",
    "Reason",
    "ServingStatistics",
    "bind",
    "tls_of",
]
