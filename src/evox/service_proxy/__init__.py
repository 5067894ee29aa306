"""Service proxy: other services as functions, in this process or elsewhere."""

from evox.service_proxy.calls import Called, Outcome, PendingCall
from evox.service_proxy.facade import Handle, OperationHandle, Proxy, proxy
from evox.service_proxy.registry import Registry, RegistryStatistics
from evox.service_proxy.registry_memory import Instance
from evox.service_proxy.remote import trusted
from evox.service_proxy.replies import Reply
from evox.service_proxy.sending import Sending, Target
from evox.service_proxy.streams import NoAnswer
from evox.service_proxy.switchboard import Switchboard, SwitchboardStatistics

__all__ = [
    "Called",
    "Handle",
    "Instance",
    "NoAnswer",
    "OperationHandle",
    "Outcome",
    "PendingCall",
    "Proxy",
    "Registry",
    "RegistryStatistics",
    "Reply",
    "Sending",
    "Switchboard",
    "SwitchboardStatistics",
    "Target",
    "proxy",
    "trusted",
]
