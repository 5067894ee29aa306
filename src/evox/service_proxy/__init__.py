"""Service proxy: other services as functions, in this process or elsewhere."""

from evox.service_proxy.calls import Called, Outcome, PendingCall
from evox.service_proxy.facade import Handle, OperationHandle, Proxy, proxy
from evox.service_proxy.registry import Instance, Registry, RegistryStatistics
from evox.service_proxy.switchboard import Switchboard, SwitchboardStatistics

__all__ = [
    "Called",
    "Handle",
    "Instance",
    "OperationHandle",
    "Outcome",
    "PendingCall",
    "Proxy",
    "Registry",
    "RegistryStatistics",
    "Switchboard",
    "SwitchboardStatistics",
    "proxy",
]
