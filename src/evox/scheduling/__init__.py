"""Who may run now."""

from evox.scheduling.gathering import gather
from evox.scheduling.pressure import Pressure
from evox.scheduling.priority import Priority
from evox.scheduling.scheduler import Scheduler
from evox.scheduling.seat import Seat
from evox.scheduling.statistics import WAITS, LevelStatistics, SchedulerStatistics

__all__ = ["WAITS", "LevelStatistics", "Pressure", "Priority", "Scheduler", "SchedulerStatistics", "Seat", "gather"]
