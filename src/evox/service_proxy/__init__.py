"""Service proxy: other services as functions, in this process or elsewhere."""

from evox.service_proxy.calls import Called, Outcome, PendingCall
from evox.service_proxy.facade import Handle, OperationHandle, Proxy, proxy
from evox.service_proxy.switchboard import Switchboard, SwitchboardStatistics

__all__ = [
    "Called",
    "Handle",
    "OperationHandle",
    "Outcome",
    "PendingCall",
    "Proxy",
    "Switchboard",
    "SwitchboardStatistics",
    "proxy",
]
