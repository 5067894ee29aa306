"""Manager: the management plane, a service of its own that looks at running processes and changes nothing."""

from evox.observe.manager.doorkeeper import Sessions
from evox.observe.manager.service import dashboard_service

__all__ = ["Sessions", "dashboard_service"]
