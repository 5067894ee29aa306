"""Observe: what there is to see of running services. It reads ``statistics()`` and events, and changes nothing.

What looks from outside (``asking``, ``directory``, the report, the dashboard) is imported where it is used.
"""

from evox.observe.forms import Snapshot
from evox.observe.looking import look
from evox.observe.observation import Observation

__all__ = ["Observation", "Snapshot", "look"]
