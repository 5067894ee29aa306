"""Who may run now."""

from evox.scheduling.priority import Priority

__all__ = ["Priority"]
