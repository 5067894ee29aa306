"""Measurements that users can repeat: ``evox bench``."""

from evox.bench.cost import DEPTH, Cost, measure
from evox.bench.simulation import POLICIES, Policy, Scenario, Tally, simulate
from evox.bench.sockets import Measured, measure_ceiling, measure_sockets

__all__ = [
    "DEPTH",
    "POLICIES",
    "Cost",
    "Measured",
    "Policy",
    "Scenario",
    "Tally",
    "measure",
    "measure_ceiling",
    "measure_sockets",
    "simulate",
]
